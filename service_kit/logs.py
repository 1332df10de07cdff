"""Structured logs: a console for people, one JSON object a line for machines."""

import contextlib
import io
import json
import logging
import os
import sys
import zlib
from collections.abc import MutableMapping
from typing import Any, Literal, TextIO, cast

import orjson
import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter
from structlog.tracebacks import ExceptionDictTransformer

from service_kit.request_id import current_request_id
from service_kit.settings import LogRequests
from service_kit.traces import current_span

#: A request that took longer gets its line under every policy.
SLOW_REQUEST_SECONDS = 0.1
#: One request in so many gets a line under the policy "sampled".
SAMPLE_INTERVAL = 100
#: The most names in a refused client's certificate that are logged.
MAX_LOGGED_NAMES = 5

EventDict = MutableMapping[str, Any]


class RequestLog:
    """Decides which requests get a line, because a line costs about ten times what deciding does."""

    def __init__(self, *, policy: LogRequests) -> None:
        self._policy = policy

    @property
    def passes_over_quick(self) -> bool:
        """Whether no request that was answered well and quickly gets a line, whatever its id."""
        return self._policy == "errors"

    def wants(self, *, request_id: str, failed: bool, seconds: float, dear: bool = False) -> bool:
        """A sampled request is sampled in every service, for its id decides."""
        if self._policy == "all" or failed or dear or seconds > SLOW_REQUEST_SECONDS:
            return True
        return self._policy == "sampled" and zlib.crc32(request_id.encode()) % SAMPLE_INTERVAL == 0


def configure_logging(*, service: str, level: str, log_format: Literal["auto", "console", "json"]) -> None:
    """Sends structlog and the standard library's loggers to standard output in one format."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # what its encoding has no sign for, stops no request either
        sys.stdout.reconfigure(errors="backslashreplace")
    output = cast("TextIO", _LossyOutput(sys.stdout))
    console = log_format == "console" or (log_format == "auto" and _is_terminal(sys.stdout))

    def add_service(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="%H:%M:%S" if console else "iso", utc=not console),
        add_service,
        _add_request_id,
        _add_span,
    ]
    renderers = _console_renderers() if console else _json_renderers()
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # One write a line: the services may share what they write to, as they do under `make run`.
        logger_factory=structlog.WriteLoggerFactory(output),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, logging.getLevelName(level.upper())), force=True)


class _LossyOutput:
    """Standard output that may go away or not exist: no request and no shutdown fails because of its line."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.write(text)

    def flush(self) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.flush()


def _add_request_id(_logger: Any, _method: str, event: EventDict) -> EventDict:
    request_id = current_request_id.get()
    if request_id:
        event.setdefault("request_id", request_id)
    return event


def _add_span(_logger: Any, _method: str, event: EventDict) -> EventDict:
    span = current_span.get()
    if span is not None:
        event["trace_id"], event["span_id"] = f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"
    return event


def _json_renderers() -> list[Any]:
    return [
        structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
        structlog.processors.JSONRenderer(serializer=_json),
    ]


def _json(event: EventDict, **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # text that is no Unicode, such as the name of a strange variable
        return json.dumps(event, default=str)


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def _console_renderers() -> list[Any]:
    colors = _is_terminal(sys.stdout) or "FORCE_COLOR" in os.environ
    dim, blue, bold, reset = ("\x1b[2m", "\x1b[34m", "\x1b[1m", "\x1b[0m") if colors else ("", "", "", "")

    def column(style: str, width: int = 0) -> KeyValueColumnFormatter:
        return KeyValueColumnFormatter(None, style, reset, str, width=width)

    columns = [
        Column("timestamp", column(dim)),
        Column("level", column(dim, 7)),
        Column("service", column(blue, 17)),
        Column("event", column(bold, 20)),
        Column("", KeyValueColumnFormatter(dim, "", reset, str)),
    ]
    return [ConsoleRenderer(columns=columns, sort_keys=False)]
