"""Settings from the environment and from flags: frozen, bounded, read once."""

import difflib
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from service_kit.setting_rules import is_loopback, needs, read_by, refusal, together_with
from service_kit.targets import check_target

Port = Annotated[int, Field(ge=0, le=65535)]
Target = Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^\S+$"), read_by(check_target)]
FileName = Annotated[str, Field(max_length=1000)]
ServerName = Annotated[str, Field(max_length=255, pattern=r"^\S*$")]
LogRequests = Literal["all", "sampled", "errors"]

S = TypeVar("S", bound="ServiceSettings")

# From the colon behind the user to the last @, whatever stands between, and a parameter of that name.
_PASSWORD = re.compile(r"(?P<before>^\w*://[^:]*|^(?!\w*://)[^:]*):.*@|(?P<name>password=)[^&]*", re.DOTALL)

# Kubernetes and container links inject these beside a service of the same name; they are not meant for us.
_INJECTED = re.compile(r"(\w+_)?SERVICE_(HOST|PORT\w*)|(\w+_)?PORT_\d+_(TCP|UDP)\w*|PORT")


class ServiceSettings(BaseSettings):
    """What every service can be told. A subclass adds its own prefix and fields."""

    model_config = SettingsConfigDict(
        frozen=True,
        cli_exit_on_error=False,
        cli_kebab_case=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    listen_host: str = Field("127.0.0.1", min_length=1, max_length=255, description="Address to listen on.")
    listen_port: Port = Field(0, description="TCP port to listen on; 0 takes a free one and logs which.")
    drain_delay_seconds: float = Field(
        0.5, ge=0, le=60, description="How long a stopping service says that it is not ready before it drains."
    )
    drain_timeout_seconds: float = Field(
        5, ge=0, le=600, description="How long requests in flight may take to finish once it drains."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto is console on a terminal and one JSON object a line otherwise."
    )
    log_requests: LogRequests = Field(
        "errors",
        description="Which requests get a line: errors, which is failed (5xx, and gRPC codes that are not the client's "
        "doing), slow (over 100 ms) and dear ones (numbers that needed a worker); sampled, which adds one in a "
        "hundred; all.",
    )
    tls_certificate: FileName = Field(
        "", description="PEM file of the certificate to listen with, and its chain; without one it listens without TLS."
    )
    tls_key: Annotated[FileName, together_with("tls_certificate")] = Field(
        "", description="PEM file of that certificate's key."
    )
    tls_client_ca: Annotated[FileName, needs("tls_certificate")] = Field(
        "", description="PEM file of the authorities of the clients; with one each client has to show a certificate."
    )
    tls_client_names: Annotated[str, needs("tls_client_ca")] = Field(
        "",
        max_length=1000,
        pattern=r"^([^\s,]+(, ?[^\s,]+)*)?$",
        description="Names, with commas between, of which a client's certificate has to carry one; "
        "without any, every client of the authorities is admitted.",
    )

    @classmethod
    def prefix(cls) -> str:
        return cls.model_config.get("env_prefix", "")

    @property
    def admitted_names(self) -> frozenset[str]:
        """The names in tls_client_names."""
        return frozenset(self.tls_client_names.replace(",", " ").split())


class GrpcServiceSettings(ServiceSettings):
    """What a service can be told that is called by other services, and by nobody else."""

    max_concurrent_calls: int = Field(
        256,
        ge=1,
        le=100_000,
        description="Calls that are worked on at a time; further ones wait in the order they came.",
    )
    max_queued_calls: int = Field(
        1_000, ge=0, le=100_000, description="Calls that may wait for their turn; more are refused."
    )
    plaintext: Literal["loopback", "anywhere"] = Field(
        "loopback",
        description="Where it may listen without TLS: on loopback addresses, or anywhere, which is for a network "
        "that only the services reach.",
    )
    max_connection_age_seconds: float = Field(
        60,
        ge=1,
        le=86_400,
        description="After this long a client has to connect anew, by which it finds new replicas; no call is cut off.",
    )
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, max_length=255, description="Address to serve metrics on, without TLS."
    )
    metrics_port: Port = Field(0, description="TCP port to serve metrics on; 0 takes a free one and logs which.")
    reflection: bool = Field(False, description="Whether clients such as grpcurl may ask which methods there are.")

    @field_validator("plaintext")
    @classmethod
    def _private(cls, plaintext: str, info: ValidationInfo) -> str:
        host, prefix = info.data.get("listen_host", "localhost"), cls.prefix()
        if plaintext == "loopback" and not info.data.get("tls_certificate") and not is_loopback(host):
            raise refusal(
                f"without TLS it does not listen on {host[:80]!r}, which is public; set {prefix}TLS_CERTIFICATE and "
                f"{prefix}TLS_KEY, or {prefix}PLAINTEXT=anywhere where only the services reach it"
            )
        return plaintext


class CallingSettings(ServiceSettings):
    """What a service can be told that calls others; for each it adds `<callee>_ca` and `<callee>_server_name`."""

    call_certificate: FileName = Field(
        "", description="PEM file of the certificate, and its chain, that is shown to the services that are called."
    )
    call_key: Annotated[FileName, together_with("call_certificate")] = Field(
        "", description="PEM file of that certificate's key."
    )


def load_settings(settings_type: type[S], *, program: str, arguments: Sequence[str]) -> S:
    """Reads the flags and the environment; a flag wins.

    Exits with status 2 and one line on standard error that names each bad setting.
    """
    try:
        return settings_type(_cli_parse_args=list(arguments), _cli_prog_name=f"python -m {program}")
    except ValidationError as error:
        refused = describe(error, prefix=settings_type.prefix(), arguments=arguments)
    except SettingsError as error:
        words = str(error).removeprefix("error parsing CLI: ").split()
        refused = f"{' '.join(map(without_password, words))[:200]}; --help lists the flags"
    print(f"{program}: {refused}", file=sys.stderr)
    raise SystemExit(2)


def describe(error: ValidationError, *, prefix: str, arguments: Sequence[str] = ()) -> str:
    """One line that names each refused setting, as a flag where it was one, what it was and what is allowed."""
    flags = {argument.partition("=")[0] for argument in arguments}
    return "; ".join(
        f"{_told_as('_'.join(map(str, fault['loc'])), prefix=prefix, flags=flags)}={_echo(fault['input'])!r}: "
        f"{_reason(fault, prefix=prefix)}"
        for fault in error.errors()
    )


def _told_as(name: str, *, prefix: str, flags: Collection[str]) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if flag in flags else f"{prefix}{name}".upper()


def _reason(fault: ErrorDetails, *, prefix: str) -> str:
    context = fault.get("ctx", {})
    return f"{context['reason']} {prefix}{context['setting']}" if context.get("setting") else fault["msg"]


def without_password(url: str) -> str:
    """The URL as it may be shown: `postgresql://user:...@host/database`. Also of what is a URL only in part."""
    return _PASSWORD.sub(lambda found: f"{found['name']}..." if found["name"] else f"{found['before']}:...@", url)


def _echo(value: object) -> str:
    return without_password(str(value))[:80]


def unknown_variables(settings_type: type[ServiceSettings], environment: Mapping[str, str]) -> dict[str, str | None]:
    """The variables that carry our prefix but are no setting, each with the nearest one that is."""
    prefix = settings_type.prefix()
    known = [f"{prefix}{name}".upper() for name in settings_type.model_fields]
    return {
        name: next(iter(difflib.get_close_matches(name, known, n=1)), None)
        for name in sorted(environment)
        if name.startswith(prefix) and name not in known and not _INJECTED.fullmatch(name.removeprefix(prefix))
    }
