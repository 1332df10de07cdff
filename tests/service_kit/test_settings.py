import os
from typing import Annotated

import pytest
from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from service_kit.setting_rules import needs
from service_kit.settings import (
    CallingSettings,
    GrpcServiceSettings,
    ServerName,
    ServiceSettings,
    Target,
    load_settings,
    unknown_variables,
    without_password,
)
from tests import settings_bounds


class Settings(ServiceSettings):
    """Settings of a service that is only tested."""

    model_config = SettingsConfigDict(env_prefix="DEMO_")

    size: int = Field(10, ge=1, le=100, description="How large it is.")
    other_target: Target = Field("localhost:1", description="What it calls.")


def load(*arguments: str) -> Settings:
    return load_settings(Settings, program="demo", arguments=arguments)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("DEMO_"):
            monkeypatch.delenv(name)


def test_every_setting_that_all_services_share_has_a_description_and_bounds() -> None:
    assert settings_bounds.undescribed(ServiceSettings) == []
    assert settings_bounds.unbounded(ServiceSettings) == []


def test_a_variable_beats_the_default_and_a_flag_beats_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().size == 10
    monkeypatch.setenv("DEMO_SIZE", "20")
    assert load().size == 20
    assert load("--size", "30").size == 30
    assert load("--size=30", "--other-target=there:5").other_target == "there:5"


@pytest.mark.parametrize(("name", "flag"), [("DEMO_SIZE", "--size"), ("DEMO_OTHER_TARGET", "--other-target")])
def test_an_empty_value_is_not_the_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, flag: str
) -> None:
    assert settings_bounds.refused(Settings, capsys, f"{flag}=").startswith(f"the_service: {flag}='': ")
    monkeypatch.setenv(name, "")
    assert settings_bounds.refused(Settings, capsys).startswith(f"the_service: {name}='': ")


def test_an_empty_value_means_none_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_TLS_CERTIFICATE", "")

    assert load("--tls-client-names=").tls_certificate == ""


def test_a_variable_without_the_prefix_is_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIZE", "20")

    assert load().size == 10


@pytest.mark.parametrize("size", ["1", "100"])
def test_the_bounds_themselves_are_allowed(size: str) -> None:
    assert load("--size", size).size == int(size)


@pytest.mark.parametrize("size", ["0", "101", "ten", "1.5", "nan", "1\n2"])
def test_a_bad_variable_ends_the_start_with_one_line_that_names_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setenv("DEMO_SIZE", size)

    assert settings_bounds.refused(Settings, capsys).startswith(f"the_service: DEMO_SIZE={size!r}: Input should be ")


@pytest.mark.parametrize("arguments", [("--listen-port", "65536"), ("--listen-port=65536",)])
def test_a_bad_flag_is_named_as_a_flag(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    line = settings_bounds.refused(Settings, capsys, *arguments)

    assert line == "the_service: --listen-port='65536': Input should be less than or equal to 65535\n"


def test_one_line_names_every_bad_setting(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_SIZE", "0")
    monkeypatch.setenv("DEMO_LOG_LEVEL", "loud")

    line = settings_bounds.refused(Settings, capsys, "--drain-timeout-seconds=-1")

    assert {"DEMO_SIZE='0'", "DEMO_LOG_LEVEL='loud'", "--drain-timeout-seconds='-1'"} <= {
        fault.split(":")[0] for fault in line.removeprefix("the_service: ").split("; ")
    }


def test_a_long_value_is_cut_in_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(settings_bounds.refused(Settings, capsys, "--other-target", "x" * 5_000)) < 200
    assert len(settings_bounds.refused(Settings, capsys, "x" * 5_000)) < 300


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "-0.001"])
def test_a_time_that_is_no_time_is_refused(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    line = settings_bounds.refused(Settings, capsys, f"--drain-delay-seconds={seconds}")

    assert f"--drain-delay-seconds='{seconds}'" in line


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--sise", "3"), "unrecognized arguments: --sise 3"),
        (("--siz", "3"), "unrecognized arguments: --siz 3"),
        (("3",), "unrecognized arguments: 3"),
        (("postgresql://user:secret@host",), "unrecognized arguments: postgresql://user:...@host"),
        (("--size",), "argument --size: expected one argument"),
    ],
)
def test_arguments_that_are_no_settings_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], reason: str
) -> None:
    line = settings_bounds.refused(Settings, capsys, *arguments)

    assert line == f"the_service: {reason}; --help lists the flags\n"


@pytest.mark.parametrize("target", ["foo:::bar", "http://there:5"])
def test_a_target_that_is_none_is_refused(capsys: pytest.CaptureFixture[str], target: str) -> None:
    line = settings_bounds.refused(Settings, capsys, "--other-target", target)

    assert line == f"the_service: --other-target={target!r}: is not written like localhost:5001\n"


def test_settings_do_not_change_once_read() -> None:
    settings = load()
    with pytest.raises(ValidationError, match="frozen"):
        settings.size = 11  # type: ignore[misc]

    assert settings.size == 10


def test_an_unknown_variable_of_ours_is_named_with_the_nearest_known_one() -> None:
    environment = {"DEMO_LISTEN_PROT": "1", "DEMO_QQQQQQQQQQQQ": "1", "DEMO_SIZE": "1", "OTHER_SIZES": "1"}

    assert unknown_variables(Settings, environment) == {
        "DEMO_LISTEN_PROT": "DEMO_LISTEN_PORT",
        "DEMO_QQQQQQQQQQQQ": None,
    }


@pytest.mark.parametrize(
    "name",
    [
        "DEMO_PORT",
        "DEMO_PORT_5002_TCP",
        "DEMO_PORT_5002_TCP_ADDR",
        "DEMO_PORT_53_UDP_PROTO",
        "DEMO_SERVICE_HOST",
        "DEMO_SERVICE_PORT",
        "DEMO_SERVICE_PORT_GRPC",
        "DEMO_POSTGRES_SERVICE_HOST",
        "DEMO_POSTGRES_PORT_5432_TCP_PORT",
    ],
)
def test_what_kubernetes_puts_beside_a_service_of_our_name_is_ignored(name: str) -> None:
    assert unknown_variables(Settings, {name: "tcp://10.0.0.1:5002"}) == {}


def test_the_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    text = settings_bounds.help_text(Settings, capsys)

    assert "Settings of a service that is only tested." in text
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert " ".join(str(field.description).split()) in text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:secret@host:5432/stats", "postgresql://user:...@host:5432/stats"),
        ("postgresql://user:se:c@r/et@host/stats", "postgresql://user:...@host/stats"),
        ("postgresql://user://x@host/stats", "postgresql://user:...@host/stats"),
        ("postgresql://:secret@host/stats", "postgresql://:...@host/stats"),
        ("postgres:user:secret@host", "postgres:...@host"),
        ("user:sec\nret@host", "user:...@host"),
        ("postgresql://host/stats?password=secret&user=u", "postgresql://host/stats?password=...&user=u"),
        ("postgresql://user@host:5432/stats", "postgresql://user@host:5432/stats"),
        ("sqlite:///data/stats.sqlite3", "sqlite:///data/stats.sqlite3"),
        ("memory:", "memory:"),
        ("127.0.0.1:5002", "127.0.0.1:5002"),
    ],
)
def test_a_password_in_a_url_is_not_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_refused_setting_is_told_without_the_password_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    line = settings_bounds.refused(Settings, capsys, "--listen-port", "postgres://user:secret@host")

    assert "='postgres://user:...@host'" in line
    assert "secret" not in line


class GrpcSettings(GrpcServiceSettings, CallingSettings):
    """Settings of a service over gRPC that calls another one."""

    model_config = SettingsConfigDict(env_prefix="DEMO_")

    other_ca: str = Field("", max_length=1000, description="Authorities.")
    other_server_name: Annotated[ServerName, needs("other_ca")] = Field("", description="Name.")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_a_loopback_address_needs_no_tls(host: str) -> None:
    assert GrpcSettings(listen_host=host).plaintext == "loopback"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "fe80::1", "service", "localhost.example"])  # noqa: S104
def test_another_address_needs_tls_or_the_setting_that_says_so(capsys: pytest.CaptureFixture[str], host: str) -> None:
    line = settings_bounds.refused(GrpcSettings, capsys, "--listen-host", host)
    said = GrpcSettings(listen_host=host, plaintext="anywhere")
    secured = GrpcSettings(listen_host=host, tls_certificate="a.pem", tls_key="a.key")

    assert line.startswith(f"the_service: DEMO_PLAINTEXT='loopback': without TLS it does not listen on {host!r}")
    assert (said.listen_host, secured.listen_host) == (host, host)


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        ({"tls-certificate": "a"}, "DEMO_TLS_KEY='': has to be set together with DEMO_TLS_CERTIFICATE"),
        ({"tls-key": "a"}, "--tls-key='a': has to be set together with DEMO_TLS_CERTIFICATE"),
        ({"call-certificate": "a"}, "DEMO_CALL_KEY='': has to be set together with DEMO_CALL_CERTIFICATE"),
        ({"tls-client-ca": "a"}, "--tls-client-ca='a': means nothing without DEMO_TLS_CERTIFICATE"),
        ({"tls-client-names": "a"}, "--tls-client-names='a': means nothing without DEMO_TLS_CLIENT_CA"),
        ({"other-server-name": "a"}, "--other-server-name='a': means nothing without DEMO_OTHER_CA"),
    ],
)
def test_a_part_of_what_tls_needs_is_refused(
    capsys: pytest.CaptureFixture[str], flags: dict[str, str], fault: str
) -> None:
    arguments = [f"--{name}={value}" for name, value in flags.items()]

    assert settings_bounds.refused(GrpcSettings, capsys, *arguments) == f"the_service: {fault}\n"


@pytest.mark.parametrize("names", [",", " ", "a,,b", "a b", "a,", ",a"])
def test_names_that_are_none_are_refused_instead_of_admitting_everybody(
    capsys: pytest.CaptureFixture[str], names: str
) -> None:
    arguments = ("--tls-certificate=a", "--tls-key=b", "--tls-client-ca=c", f"--tls-client-names={names}")

    assert f"--tls-client-names={names!r}: " in settings_bounds.refused(GrpcSettings, capsys, *arguments)


def test_the_names_of_clients_stand_between_commas() -> None:
    settings = GrpcSettings(
        tls_certificate="a", tls_key="b", tls_client_ca="c", tls_client_names="one, two.example,spiffe://x/three"
    )

    assert settings.admitted_names == {"one", "two.example", "spiffe://x/three"}
    assert GrpcSettings().admitted_names == frozenset()
