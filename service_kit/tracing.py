"""Turns tracing on where the environment names a collector. Else nothing of it is loaded, and nothing done for it."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from service_kit.lifecycle import CannotStart
from service_kit.settings import without_password
from service_kit.traces import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
#: How long a service that stops goes on trying to send its last spans.
FLUSH_SECONDS = 2.0


@asynccontextmanager
async def tracing(service: str) -> AsyncIterator[Tracer | None]:
    """The tracer of a service, or None. On leaving it sends what is left, so it has to be left last.

    It reads the environment itself, as OpenTelemetry's SDK does: the variables are the same in every program.
    Raises CannotStart where one of them makes no sense.
    """
    endpoint = _endpoint(os.environ)
    if not endpoint:
        yield None
        return
    from service_kit.trace_export import SpanExport  # noqa: PLC0415 - it takes 0.2 s and 12 MB

    try:
        export = SpanExport(service=service, instance=secrets.token_hex(8), endpoint=without_password(endpoint))
    except ValueError as error:
        raise CannotStart(f"an OTEL_ variable makes no sense: {error}") from None
    try:
        yield Tracer(sampler=export.sampled, export=export.export)
    finally:
        await asyncio.to_thread(export.close, FLUSH_SECONDS)


def _endpoint(environment: Mapping[str, str]) -> str:
    """Where to send spans; empty where that is not wanted."""
    if environment.get("OTEL_TRACES_EXPORTER") == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return ""
    endpoint = next((environment[name] for name in ENDPOINTS if environment.get(name)), "")
    for name in PROTOCOLS if endpoint else ():
        if environment.get(name, "grpc") != "grpc":
            raise CannotStart(f"{name}={environment[name][:80]}: spans are sent by grpc only, to port 4317 as a rule")
    return endpoint
