"""What OpenTelemetry's variables may say. Its SDK takes what it cannot read for the default, sends nothing, or crashes.

An empty variable is none at all, as OpenTelemetry has it.
"""

import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import entry_points
from urllib.parse import unquote, urlsplit

from service_kit.settings import without_password
from service_kit.tls_files import TlsFault, TlsFile, TlsFiles

#: What each variable of the exporter is called, for traces alone and for everything that is exported.
_EXPORTERS = ("OTEL_EXPORTER_OTLP_TRACES", "OTEL_EXPORTER_OTLP")
ENDPOINTS = tuple(f"{exporter}_ENDPOINT" for exporter in _EXPORTERS)
_RATIOS = ("traceidratio", "parentbased_traceidratio")
#: Closed lists, in which OpenTelemetry does not tell capitals from others.
_CHOICES = {
    "OTEL_SDK_DISABLED": ("true", "false"),
    "OTEL_TRACES_EXPORTER": ("otlp", "none"),
    "OTEL_TRACES_SAMPLER": (
        "always_on",
        "always_off",
        "parentbased_always_on",
        "parentbased_always_off",
        *_RATIOS,
    ),
    **{f"{exporter}_COMPRESSION": ("none", "gzip", "deflate") for exporter in _EXPORTERS},
    **{f"{exporter}_INSECURE": ("true", "false") for exporter in _EXPORTERS},
}
_TIMEOUTS = tuple(f"{exporter}_TIMEOUT" for exporter in _EXPORTERS)
_QUEUE, _BATCH = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
_DEFAULTS = {_QUEUE: "2048", _BATCH: "512"}
#: Milliseconds, or spans.
_COUNTS = ("OTEL_BSP_SCHEDULE_DELAY", "OTEL_BSP_EXPORT_TIMEOUT", _QUEUE, _BATCH)
LIMITS = (
    "OTEL_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    "OTEL_SPAN_EVENT_COUNT_LIMIT",
    "OTEL_SPAN_LINK_COUNT_LIMIT",
    "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
)
_MAX = 10_000_000
#: In seconds; with none at all no span would ever arrive.
_MIN_TIMEOUT = 0.1

_URL = re.compile(r"https?://([^\s/?#@]*@)?(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]{1,5})?/?", re.IGNORECASE)
# What the SDK reads, of that what gRPC can send.
_HEADER = re.compile(r"[0-9A-Za-z_.-]+[ \t]*=[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_SENT = re.compile(r"[\x20-\x7e]*")
_ATTRIBUTE = re.compile(r"\s*[^\s=]+\s*=.*", re.DOTALL)


def endpoint(environment: Mapping[str, str]) -> str:
    """Where to send spans; empty where that is not wanted. Raises ValueError with a line that names a bad variable."""
    name = next((name for name in ENDPOINTS if environment.get(name)), None)
    if (
        name is None
        or environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environment.get("OTEL_TRACES_EXPORTER", "").lower() == "none"
    ):
        return ""
    _check_endpoint(environment, name)
    for choice, values in _CHOICES.items():
        _check(environment, choice, partial(_is_one_of, values), f"has to be one of {', '.join(values)}")
    _check_numbers(environment)
    for exporter in _EXPORTERS:
        _check_exporter(environment, exporter)
    _check(environment, "OTEL_RESOURCE_ATTRIBUTES", _are_attributes, "has to be pairs such as a=1,b=2")
    _check_detectors(environment)
    return environment[name]


def _check_endpoint(environment: Mapping[str, str], name: str) -> None:
    if not _URL.fullmatch(environment[name]):
        raise _refusal(environment, name, "is not written like http://localhost:4317, or https://... for TLS")
    in_vain = "has a user, whom gRPC takes for a part of the host; OTEL_EXPORTER_OTLP_HEADERS may say who sends"
    _check(environment, name, lambda url: "@" not in url, in_vain)
    _check(environment, name, _has_port, "has a port that is none, which is a number from 1 to 65535")


def _check_detectors(environment: Mapping[str, str]) -> None:
    installed = entry_points(group="opentelemetry_resource_detector").names
    names = ["*", *sorted(installed)]

    def are_installed(text: str) -> bool:
        return all(name.strip() in names for name in text.split(",") if name.strip())

    allowed = f"has to be of {', '.join(names)}, with commas between"
    _check(environment, "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", are_installed, allowed)


def _has_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _check_numbers(environment: Mapping[str, str]) -> None:
    for name in _TIMEOUTS:
        _check_number(environment, name, low=_MIN_TIMEOUT)
    for name in _COUNTS:
        _check_number(environment, name, low=1, whole=True)
    for name in LIMITS:
        _check_number(environment, name, low=0, whole=True)
    if environment.get("OTEL_TRACES_SAMPLER", "").lower() in _RATIOS:
        _check_number(environment, "OTEL_TRACES_SAMPLER_ARG", low=0, high=1)
    queue, batch = (environment.get(name) or _DEFAULTS[name] for name in (_QUEUE, _BATCH))
    if int(batch) > int(queue):
        if environment.get(_BATCH):
            raise _refusal(environment, _BATCH, f"has to be at most {_QUEUE}, which is {queue}")
        raise _refusal(environment, _QUEUE, f"has to be at least {_BATCH}, which is {batch}")


def _check_exporter(environment: Mapping[str, str], exporter: str) -> None:
    protocol, headers = f"{exporter}_PROTOCOL", f"{exporter}_HEADERS"
    _check(environment, protocol, "grpc".__eq__, "spans are sent by grpc only, to port 4317 as a rule")
    if not _are_headers(environment.get(headers, "")):  # whose values are secret
        raise ValueError(f"{headers}: has to be pairs such as authorization=Bearer%20abc, with commas between")
    _check_files(environment, exporter)


def _check_files(environment: Mapping[str, str], exporter: str) -> None:
    """The SDK shows no certificate without authorities of its own to believe."""
    ca, certificate, key = (
        TlsFile(setting=name, path=environment.get(name, ""))
        for name in (f"{exporter}_CERTIFICATE", f"{exporter}_CLIENT_CERTIFICATE", f"{exporter}_CLIENT_KEY")
    )
    for file, other in ((certificate, key), (key, certificate), (certificate, ca)):
        if file.path and not other.path:
            raise _refusal(environment, file.setting, f"means nothing without {other.setting}")
    try:
        TlsFiles(certificate=certificate, key=key, ca=ca).load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except TlsFault as fault:
        raise ValueError(str(fault)) from None


def _is_one_of(values: Sequence[str], text: str) -> bool:
    return text.lower() in values


def _are_headers(text: str) -> bool:
    pairs = [pair.strip() for pair in text.split(",") if pair.strip()]
    return all(_HEADER.fullmatch(pair) and _SENT.fullmatch(unquote(pair.partition("=")[2])) for pair in pairs)


def _are_attributes(text: str) -> bool:
    return all(map(_ATTRIBUTE.fullmatch, text.split(",")))


def _check_number(
    environment: Mapping[str, str], name: str, *, low: float, high: float = _MAX, whole: bool = False
) -> None:
    def is_good(text: str) -> bool:
        try:
            return low <= (int(text) if whole else float(text)) <= high
        except ValueError:
            return False

    _check(environment, name, is_good, f"has to be a {'whole ' if whole else ''}number from {low} to {high}")


def _check(environment: Mapping[str, str], name: str, is_good: Callable[[str], bool], reason: str) -> None:
    text = environment.get(name)
    if text and not is_good(text):
        raise _refusal(environment, name, reason)


def _refusal(environment: Mapping[str, str], name: str, reason: str) -> ValueError:
    return ValueError(f"{name}={without_password(environment[name])[:80]!r}: {reason}")
