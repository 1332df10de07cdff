"""HTTP/1.1 on one connection, as uvicorn speaks it, with bounds on what a client may send and how long it may take."""

import contextlib
import contextvars
from collections.abc import Iterable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, cast

from uvicorn.protocols.http import httptools_impl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api_gateway.errors import ReaderTooSlow
from api_gateway.http_counts import HttpCounts, Reason
from api_gateway.http_spans import refused_span
from api_gateway.outer_fields import with_outer_fields
from api_gateway.problems import problem
from api_gateway.request_facts import Scope, answered_in_place, note_error, request_id_of
from api_gateway.response_cycle import ResponseCycle
from service_kit.connections import break_off
from service_kit.request_id import current_request_id, new_request_id
from service_kit.traces import NOTHING, Tracer

#: A batch of a thousand indices is 10 kB of URL.
MAX_URL_BYTES = 16 << 10
MAX_HEADER_BYTES = 32 << 10
MAX_HEADERS = 100
_HOST_BYTES = len(b"host")
#: Requests that a client may send ahead of the answers. uvicorn would keep as many as come.
MAX_SENT_AHEAD = 16
#: What a client has to take of an answer in each `send_seconds`.
TAKEN_BYTES = 64 << 10

#: As uvicorn does it, with a cycle of ours: it lets nobody choose the class, and to give an object another one when it
#: is there costs more than to make it.
_take_request = FunctionType(
    HttpToolsProtocol.on_headers_complete.__code__, {**vars(httptools_impl), "RequestResponseCycle": ResponseCycle}
)


@dataclass(frozen=True, slots=True)
class _Refusal:
    reason: Reason
    status: int
    detail: str


_MALFORMED = _Refusal(
    "malformed",
    400,
    "This is not a request of HTTP/1.1 that can be read: its method may be unknown, its URL not percent-encoded ASCII, "
    "a header field malformed, or the framing of its body.",
)
_NOT_ONE_HOST = _Refusal("malformed", 400, "A request of HTTP/1.1 must have one header field Host.")
_URL_TOO_LONG = _Refusal("url_too_long", 414, f"The URL must have at most {MAX_URL_BYTES} bytes.")
_HEADERS_TOO_LARGE = _Refusal(
    "headers_too_large",
    431,
    f"The header fields must be at most {MAX_HEADERS}, with {MAX_HEADER_BYTES} bytes in all.",
)
_SENT_AHEAD = _Refusal("sent_ahead", 400, f"At most {MAX_SENT_AHEAD} requests may be sent ahead of their answers.")
_TOO_SLOW = _Refusal("request_too_slow", 408, "The request did not arrive in time.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """`receive_seconds` for a whole request, once its connection is free; `send_seconds` for taking `TAKEN_BYTES`.

    A connection that had a request, and of the next one not a byte yet, has `idle_seconds`.
    """

    connections: int
    idle_seconds: float
    receive_seconds: float
    send_seconds: float


class _Refused(Exception):
    """Ends the parsing; what is said to the client stands in the protocol."""


class BoundedProtocol(HttpToolsProtocol):
    """Times are those of the loop's clock; `end_slow_connections` looks at them, so that a request sets no timer.

    uvicorn would set one behind each answer.
    """

    def __init__(
        self, *arguments: Any, bounds: Bounds, counts: HttpCounts, tracer: Tracer | None = None, **named: Any
    ) -> None:
        super().__init__(*arguments, **named)
        self._bounds = bounds
        self.counts = counts
        self._tracer = tracer
        self._refusal = _MALFORMED
        self._answering: RequestResponseCycle | None = None
        self._header_bytes = self._hosts = 0
        self._awaited_since: float | None = None
        self._blocked_since: float | None = None
        self._blocked_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._awaited_since = self.loop.time()
        self.counts.connections += 1
        if len(self.connections) > self._bounds.connections:
            detail = f"{self._bounds.connections} connections are open already."
            self._refuse(_Refusal("connections", 503, detail))

    def connection_lost(self, exc: Exception | None) -> None:
        """Uvicorn tells only the newest request that its client is gone, and the one being answered may be older."""
        super().connection_lost(exc)
        self.counts.connections -= 1
        self.pipeline.clear()
        if self._answering is not None:
            self._answering.disconnected = True
            self._answering.message_event.set()

    def on_message_begin(self) -> None:
        self._header_bytes = self._hosts = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            self._refusal = _URL_TOO_LONG
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        size = len(name)
        self._header_bytes += size + len(value)
        if size == _HOST_BYTES and name.lower() == b"host":  # most names end here by their length
            self._hosts += 1
        if self._header_bytes > MAX_HEADER_BYTES or len(self.headers) > MAX_HEADERS:
            self._refusal = _HEADERS_TOO_LARGE
            raise _Refused

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_SENT_AHEAD:
            self._refusal = _SENT_AHEAD
            raise _Refused  # the answers to those before are the last ones on this connection
        # RFC 9112, 3.2: who takes another of them than we do would send a request elsewhere.
        if self._hosts != 1 and (self._hosts or self.parser.get_http_version() == "1.1"):
            self._refusal = _NOT_ONE_HOST
            raise _Refused
        _take_request(self)

    def on_message_complete(self) -> None:
        # An answer may be complete before the request is; then the client owes the next one.
        self._awaited_since = self.loop.time() if self.cycle.response_complete else None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without its timer for an idle connection."""
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()
            if self.pipeline:
                self._start_asgi_task(*self.pipeline.pop())
        # Else a request that was sent ahead, and has arrived, is being answered.
        if self.cycle.response_complete or self.cycle.more_body:
            self._awaited_since = self.loop.time()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        self._blocked_since = self.loop.time()
        self._blocked_bytes = self.transport.get_write_buffer_size()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._blocked_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP, or too much of it, gets a problem too, where uvicorn answers in plain text."""
        self._refuse(self._refusal)

    def end_if_too_slow(self, now: float) -> None:
        """Ends the connection where the client has owed bytes, or the taking of bytes, for too long."""
        if self._blocked_since is not None and now - self._blocked_since > self._bounds.send_seconds:
            self._ask_for_progress(now)
        elif self._awaited_since is not None:
            self._end_if_owing(now - self._awaited_since)

    def _end_if_owing(self, seconds: float) -> None:
        """`seconds` since the connection was free for the request that has not come, or not whole."""
        if seconds > self._bounds.receive_seconds:
            if self.transport.is_closing() or self.transport.get_write_buffer_size():
                self._reset()  # it does not read the answer before
            elif self._began():
                self._refuse(_TOO_SLOW)
            else:
                self.transport.close()
        elif seconds > self._bounds.idle_seconds and self.cycle is not None and not self._began():
            self.transport.close()

    def _ask_for_progress(self, now: float) -> None:
        """A long answer may stand in the buffer as one; who takes enough of it in the time gets as much time again."""
        left = self.transport.get_write_buffer_size()
        if left > self._blocked_bytes - TAKEN_BYTES:
            self._reset()
        self._blocked_since, self._blocked_bytes = now, left

    def _reset(self) -> None:
        contextvars.copy_context().run(self._tell_too_slow)
        break_off(self.transport)

    def _tell_too_slow(self) -> None:
        """Has the line and the span of the request say so too, unless its answer has been handed over whole."""
        scope = cast("Scope", self._answering.scope if self._answering else {})
        current_request_id.set(request_id_of(scope))
        self.counts.refused.count("reader_too_slow", client=self._address)
        note_error(scope, ReaderTooSlow())

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _began(self) -> bool:
        """Whether a part of a request has arrived, and not the rest."""
        return self._in_head() or (self.cycle is not None and self.cycle.more_body and not self.cycle.response_complete)

    def _in_head(self) -> bool:
        """Whether a request is arriving that no layer knows of yet."""
        return self.scope is not None and (self.cycle is None or self.cycle.scope is not self.scope)

    def _refuse(self, refusal: _Refusal) -> None:
        """Answers and closes; where an earlier request is being answered, that answer is the last.

        It has an id, a line and a span, as if it had come to a layer.
        """
        contextvars.copy_context().run(self._refuse_as_a_request, refusal)

    def _refuse_as_a_request(self, refusal: _Refusal) -> None:
        own = "" if self.cycle is None or self._in_head() else request_id_of(cast("Scope", self.cycle.scope))
        current_request_id.set(own or new_request_id())
        with self._span(refusal):
            self.counts.refused.count(refusal.reason, client=self._address)
        if not self._give_up_request(refusal):
            self.cycle.keep_alive = False
            self._awaited_since = None
            return
        response = with_outer_fields(problem(refusal.status, refusal.detail))
        lines = (b"%b: %b\r\n" % header for header in (*response.raw_headers, (b"connection", b"close")))
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[refusal.status], b"".join(lines), bytes(response.body)))
        self.transport.close()

    def _give_up_request(self, refusal: _Refusal) -> bool:
        """Whether nothing has to go out before a refusal. One whose body is arriving is taken from its layers."""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            return True
        if cycle is not self._answering or not cycle.more_body or cycle.response_started:
            return False
        answered_in_place(cast("Scope", cycle.scope), refusal.status, refusal.detail)
        cycle.disconnected = True
        cycle.message_event.set()
        return True

    def _span(self, refusal: _Refusal) -> "contextlib.AbstractContextManager[object]":
        if self._tracer is None or not self._in_head():
            return NOTHING
        now = self.loop.time()
        seconds = now - (self._awaited_since or now)
        return refused_span(self._tracer, self.headers, reason=refusal.reason, status=refusal.status, seconds=seconds)


def end_slow_connections(connections: Iterable[Any], now: float) -> None:
    for connection in list(connections):
        cast("BoundedProtocol", connection).end_if_too_slow(now)
