"""What OpenTelemetry's variables may say. Its SDK takes what it cannot read for the default, or sends nothing.

An empty variable is none at all, as OpenTelemetry has it.
"""

import re
from collections.abc import Mapping

from service_kit.settings import without_password

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_RATIOS = ("traceidratio", "parentbased_traceidratio")
_SAMPLERS = ("always_on", "always_off", "parentbased_always_on", "parentbased_always_off", *_RATIOS)
_SECONDS = ("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
#: Milliseconds, or spans.
_COUNTS = (
    "OTEL_BSP_SCHEDULE_DELAY",
    "OTEL_BSP_EXPORT_TIMEOUT",
    "OTEL_BSP_MAX_QUEUE_SIZE",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
)
_MAX = 10_000_000

_URL = re.compile(r"https?://([^\s/?#@]*@)?(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(:[0-9]{1,5})?/?", re.IGNORECASE)


def endpoint(environment: Mapping[str, str]) -> str:
    """Where to send spans; empty where that is not wanted. Raises ValueError with a line that names a bad variable."""
    if environment.get("OTEL_TRACES_EXPORTER") == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    name = next((name for name in ENDPOINTS if environment.get(name)), None)
    if name is None:
        return ""
    if not _URL.fullmatch(environment[name]):
        raise _refusal(environment, name, "is not written like http://localhost:4317, or https://... for TLS")
    for protocol in _PROTOCOLS:
        if environment.get(protocol, "") not in ("", "grpc"):
            raise _refusal(environment, protocol, "spans are sent by grpc only, to port 4317 as a rule")
    _check_sampler(environment)
    for number in (*_SECONDS, *_COUNTS):
        _check_number(environment, number, low=0 if number in _SECONDS else 1, whole=number in _COUNTS)
    return environment[name]


def _check_sampler(environment: Mapping[str, str]) -> None:
    sampler = environment.get("OTEL_TRACES_SAMPLER", "").lower()
    if sampler and sampler not in _SAMPLERS:
        raise _refusal(environment, "OTEL_TRACES_SAMPLER", f"has to be one of {', '.join(_SAMPLERS)}")
    if sampler in _RATIOS:
        _check_number(environment, "OTEL_TRACES_SAMPLER_ARG", low=0, high=1)


def _check_number(
    environment: Mapping[str, str], name: str, *, low: float, high: float = _MAX, whole: bool = False
) -> None:
    text = environment.get(name, "")
    try:
        good = not text or low <= (int(text) if whole else float(text)) <= high
    except ValueError:
        good = False
    if not good:
        raise _refusal(environment, name, f"has to be a {'whole ' if whole else ''}number from {low} to {high}")


def _refusal(environment: Mapping[str, str], name: str, reason: str) -> ValueError:
    return ValueError(f"{name}={without_password(environment[name])[:80]!r}: {reason}")
