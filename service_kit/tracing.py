"""Turns tracing on where the environment names a collector. Else nothing of it is loaded, and nothing done for it."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager

from service_kit.lifecycle import CannotStart
from service_kit.trace_variables import endpoint as endpoint_of
from service_kit.traces import Tracer

#: How long a service that stops goes on trying to send its last spans.
FLUSH_SECONDS = 2.0


@asynccontextmanager
async def tracing(service: str) -> AsyncIterator[Tracer | None]:
    """The tracer of a service, or None. On leaving it sends what is left, so it has to be left last.

    It reads the environment itself, as OpenTelemetry's SDK does: the variables are the same in every program.
    Raises CannotStart where one of them makes no sense.
    """
    endpoint = check_tracing(os.environ)
    if not endpoint:
        yield None
        return
    _remove_ignored(os.environ)
    try:
        from service_kit.trace_export import SpanExport  # noqa: PLC0415 - it takes 0.2 s and 12 MB

        export = SpanExport(service=service, instance=secrets.token_hex(8), endpoint=endpoint)
    except (ValueError, KeyError, RuntimeError) as error:  # of a variable of Python's SDK alone
        raise CannotStart(f"an OTEL_ variable makes no sense: {error}") from None
    try:
        yield Tracer(sampler=export.sampled, export=export.export)
    finally:
        await asyncio.to_thread(export.close, FLUSH_SECONDS)


def _remove_ignored(environment: MutableMapping[str, str]) -> None:
    """Has the SDK, which would read some of them, find no empty variables: to OpenTelemetry these are none.

    Nor how to keep its context, for which there is one way, and of any other it writes a traceback.
    """
    for name in [name for name, value in environment.items() if name.startswith("OTEL_") and not value]:
        del environment[name]
    environment.pop("OTEL_PYTHON_CONTEXT", None)


def check_tracing(environment: Mapping[str, str]) -> str:
    """The collector's address, or nothing where there is none. Raises CannotStart where a variable makes no sense."""
    try:
        return endpoint_of(environment)
    except ValueError as error:
        raise CannotStart(str(error)) from None
