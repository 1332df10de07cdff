import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from pydantic_settings import SettingsConfigDict
from structlog.testing import capture_logs

from service_kit.lifecycle import CannotStart
from service_kit.settings import CallingSettings
from service_kit.tls import Certificates, calling_tls, check_tls, listening_tls
from service_kit.tls_files import MAX_FILE_BYTES, Pem, TlsFile, TlsFiles
from tests.tls.authority import Authority, Issued


class Settings(CallingSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")

    other_ca: str = ""
    other_server_name: str = ""


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def issued(ours: Authority) -> Issued:
    return ours.issue("localhost")


@pytest.fixture
def certificates(ours: Authority, issued: Issued) -> Certificates:
    return Certificates(
        TlsFiles(
            certificate=TlsFile("DEMO_TLS_CERTIFICATE", str(issued.certificate)),
            key=TlsFile("DEMO_TLS_KEY", str(issued.key)),
            ca=TlsFile("DEMO_TLS_CLIENT_CA", str(ours.file)),
        )
    )


def settings_for(issued: Issued, **changes: Any) -> Settings:
    given: dict[str, Any] = {"tls_certificate": issued.certificate, "tls_key": issued.key, **changes}
    as_text: dict[str, Any] = {name: str(value) for name, value in given.items()}
    return Settings(**as_text)


async def refusal(settings: Settings) -> str:
    with pytest.raises(CannotStart) as caught:
        async with listening_tls(settings):
            pass
    with pytest.raises(CannotStart):
        check_tls(settings)
    return str(caught.value)


async def test_without_a_certificate_there_is_no_tls() -> None:
    async with listening_tls(Settings()) as certificates:
        assert certificates is None
    assert calling_tls(Settings(), "other") is None


@pytest.mark.parametrize("setting", ["tls_certificate", "tls_key", "tls_client_ca"])
async def test_a_file_that_is_missing_is_named_with_its_setting(issued: Issued, tmp_path: Path, setting: str) -> None:
    missing = tmp_path / "missing.pem"

    line = await refusal(settings_for(issued, **{setting: missing}))

    assert line == f"DEMO_{setting.upper()}='{missing}': No such file or directory"


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("tls_certificate", "holds no PEM certificate"),
        ("tls_key", "holds no PEM key that can be used with DEMO_TLS_CERTIFICATE"),
        ("tls_client_ca", "holds no PEM certificate"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"no PEM\n", b"\x00\xff", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_a_file_of_something_else_is_named_with_its_setting(
    issued: Issued, tmp_path: Path, setting: str, reason: str, content: bytes
) -> None:
    other = tmp_path / "other"
    other.write_bytes(content)

    assert await refusal(settings_for(issued, **{setting: other})) == f"DEMO_{setting.upper()}='{other}': {reason}"


async def test_a_key_of_another_certificate_is_refused(ours: Authority, issued: Issued) -> None:
    other = ours.issue("localhost").key

    line = await refusal(settings_for(issued, tls_key=other))

    assert line == f"DEMO_TLS_KEY='{other}': does not fit DEMO_TLS_CERTIFICATE='{issued.certificate}'"


async def test_an_encrypted_key_is_refused_and_nobody_is_asked(issued: Issued, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(issued.key.read_bytes(), password=None)
    encrypted = tmp_path / "encrypted.key"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )

    line = await refusal(settings_for(issued, tls_key=encrypted))

    assert line == f"DEMO_TLS_KEY='{encrypted}': is encrypted; a key without a passphrase is needed"


async def test_a_file_without_end_is_not_read_to_it(issued: Issued) -> None:
    line = await refusal(settings_for(issued, tls_client_ca="/dev/zero"))

    assert line == f"DEMO_TLS_CLIENT_CA='/dev/zero': has more than {MAX_FILE_BYTES} bytes"


def test_the_authorities_of_a_callee_are_checked_too(issued: Issued, tmp_path: Path) -> None:
    settings = settings_for(issued, other_ca=tmp_path / "missing.pem")
    with pytest.raises(CannotStart, match=r"^DEMO_OTHER_CA=.*missing\.pem': No such file"):
        check_tls(settings)


def test_a_callee_is_called_with_what_the_settings_say(ours: Authority, issued: Issued) -> None:
    tls = calling_tls(
        settings_for(
            issued,
            call_certificate=issued.certificate,
            call_key=issued.key,
            other_ca=ours.file,
            other_server_name="other.example",
        ),
        "other",
    )

    assert tls is not None
    assert tls.server_name == "other.example"
    assert tls.certificates.pem.certificate == issued.certificate.read_bytes()
    assert tls.certificates.pem.ca == ours.file.read_bytes()


def test_a_new_certificate_counts_once_two_looks_have_seen_it(
    certificates: Certificates, ours: Authority, issued: Issued
) -> None:
    other = ours.issue("localhost")
    issued.replace_by(other)
    with capture_logs() as lines:
        looks = [certificates.look() for _ in range(4)]

    assert looks == [False, True, False, False]
    assert certificates.pem.key == other.key.read_bytes()
    assert lines == [
        {
            "event": "tls.reloaded",
            "settings": ["DEMO_TLS_CERTIFICATE", "DEMO_TLS_KEY", "DEMO_TLS_CLIENT_CA"],
            "certificate": str(issued.certificate),
            "ca": str(ours.file),
            "log_level": "info",
        }
    ]


def test_half_of_a_rotation_is_neither_taken_nor_reported(
    certificates: Certificates, ours: Authority, issued: Issued
) -> None:
    before, other = certificates.pem, ours.issue("localhost")
    with capture_logs() as lines:
        issued.certificate.write_bytes(other.certificate.read_bytes())
        assert not certificates.look()
        issued.key.write_bytes(other.key.read_bytes())
        assert not certificates.look()
        assert (certificates.pem, lines) == (before, [])
        assert certificates.look()


def test_what_is_replaced_while_it_is_taken_is_taken_by_a_later_look(
    certificates: Certificates, ours: Authority, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, second, third = certificates.pem, ours.issue("localhost"), ours.issue("localhost")
    load = TlsFiles.load

    def load_and_replace(files: TlsFiles, context: ssl.SSLContext) -> Pem:
        loaded = load(files, context)
        issued.replace_by(third)
        return loaded

    issued.replace_by(second)
    assert not certificates.look()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(TlsFiles, "load", load_and_replace)
        assert not certificates.look()
    assert certificates.pem == before

    assert [certificates.look() for _ in range(2)] == [False, True]
    assert certificates.pem.key == third.key.read_bytes()


def test_a_bad_file_is_logged_once_and_the_old_ones_stay_in_use(
    certificates: Certificates, ours: Authority, issued: Issued
) -> None:
    before, context = certificates.pem, certificates.context
    issued.key.write_bytes(ours.issue("localhost").key.read_bytes())
    with capture_logs() as lines:
        assert not any(certificates.look() for _ in range(4))

    fault = f"DEMO_TLS_KEY='{issued.key}': does not fit DEMO_TLS_CERTIFICATE='{issued.certificate}'"
    assert lines == [{"event": "tls.refused", "error": fault, "log_level": "warning"}]
    assert (certificates.pem, certificates.context) == (before, context)


def test_a_file_that_goes_away_is_logged_and_may_come_back(certificates: Certificates, issued: Issued) -> None:
    content = issued.key.read_bytes()
    issued.key.unlink()
    with capture_logs() as lines:
        assert not any(certificates.look() for _ in range(4))
        issued.key.write_bytes(content)
        assert not any(certificates.look() for _ in range(4))
        issued.key.unlink()
        assert not any(certificates.look() for _ in range(4))

    fault = f"DEMO_TLS_KEY='{issued.key}': No such file or directory"
    assert [(line["event"], line.get("error")) for line in lines] == [
        ("tls.refused", fault),
        ("tls.reloaded", None),
        ("tls.refused", fault),
    ]


def test_a_certificate_after_a_bad_one_is_taken(certificates: Certificates, ours: Authority, issued: Issued) -> None:
    issued.key.write_bytes(b"bad")
    assert not any(certificates.look() for _ in range(3))
    issued.replace_by(ours.issue("localhost"))

    assert [certificates.look() for _ in range(2)] == [False, True]


def test_a_client_that_shows_a_certificate_resumes_no_session(certificates: Certificates) -> None:
    assert certificates.context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert certificates.context.num_tickets == 0


def test_the_authorities_of_a_whole_system_are_read(issued: Issued, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(b"".join(trustme.CA().cert_pem.bytes() for _ in range(150)))

    assert bundle.stat().st_size < MAX_FILE_BYTES
    check_tls(settings_for(issued, tls_client_ca=bundle))
