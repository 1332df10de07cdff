"""Sends the requests that come while others are on their way as one batch, over calls that stay open.

What an RPC costs is the call, not the numbers in it, so under load one message carries many requests.
"""

import asyncio
import contextvars
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from api_gateway.batch_traces import batch_span
from api_gateway.errors import ServiceUnavailable, UpstreamError, mark_batch
from api_gateway.exchange import Exchange
from api_gateway.retries import Caller
from service_kit.lifecycle import supervise
from service_kit.metrics import Histogram
from service_kit.pb.fibonacci.fib_pb2 import Encoding, ExchangeFibRequest, ExchangeFibResponse
from service_kit.request_id import current_request_id
from service_kit.spans import Span
from service_kit.traces import NOTHING, Active, Tracer, current_span

MAX_BATCH_ITEMS = 256
#: While one batch is answered the next gathers. Two on their way at a time would be smaller ones, and 7 to 14% slower,
#: so the second exchange is for when an answer is slow, or its server hangs.
EXCHANGES = 2
#: How often deadlines are looked at, for a timer for each request would cost 3 us, and whether requests wait behind a
#: slow answer.
SWEEP_SECONDS = 0.01
_SIZE_BOUNDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)


@dataclass(slots=True, eq=False)
class _Asked:
    n: int
    encoding: Encoding.ValueType
    request_id: str
    deadline: float
    answer: "asyncio.Future[bytes]"
    span: Span | None


class Coalescer:
    """Holds requests in the order of their deadlines, for each gets as long as every other."""

    def __init__(
        self, *, exchanges: Sequence[Exchange], caller: Caller, max_waiting: int, tracer: Tracer | None = None
    ) -> None:
        self._exchanges = exchanges
        self._caller = caller
        self._max_waiting = max_waiting
        self._tracer = tracer
        self._waiting: deque[_Asked] = deque()
        self._under_way: dict[Exchange, list[_Asked]] = {}
        self._idle: deque[asyncio.Future[None]] = deque()
        self._sequence = itertools.count(1)
        self._sweep_timer: asyncio.TimerHandle | None = None
        self.batch_sizes = Histogram(_SIZE_BOUNDS)
        self.refused = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def ask(self, n: int, encoding: Encoding.ValueType) -> "asyncio.Future[bytes]":
        """F(n), encoded, to be awaited; one that is cancelled before its batch leaves is not sent.

        Raises ServiceUnavailable where too many wait; the answer may raise that too, UpstreamError or DeadlineExceeded.
        """
        if len(self._waiting) >= self._max_waiting:
            self.refused += 1
            raise ServiceUnavailable(self._caller.service, f"{self._max_waiting} requests wait for a batch already")
        deadline = self._loop.time() + self._caller.deadline_seconds
        span = current_span.get() if self._tracer else None
        asked = _Asked(n, encoding, current_request_id.get(), deadline, self._loop.create_future(), span)
        self._waiting.append(asked)
        if not self._under_way:
            self._wake_exchange()
        if self._sweep_timer is None:
            self._set_sweep_timer()
        return asked.answer

    def _set_sweep_timer(self) -> None:
        # What it tells in the log is not of the request that happened to begin it.
        self._sweep_timer = self._loop.call_later(SWEEP_SECONDS, self._sweep, context=self._context)

    def _wake_exchange(self) -> None:
        if self._idle:
            self._idle.popleft().set_result(None)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()  # once: in Python 3.11 each look-up is a system call
        self._context = contextvars.copy_context()
        self._sending = [
            asyncio.create_task(supervise("coalescer", partial(self._send_over, exchange)))
            for exchange in self._exchanges
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._sending:
            task.cancel()
        await asyncio.wait(self._sending)
        for exchange in self._exchanges:
            exchange.close()
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()

    async def _send_over(self, exchange: Exchange) -> None:
        while True:
            if batch := self._next_batch():
                await self._send(batch, exchange)
            else:
                idle = self._loop.create_future()
                self._idle.append(idle)
                await idle

    def _next_batch(self) -> list[_Asked]:
        batch: list[_Asked] = []
        while self._waiting and len(batch) < MAX_BATCH_ITEMS:
            asked = self._waiting.popleft()
            if not asked.answer.done():
                batch.append(asked)
        return batch

    async def _send(self, batch: list[_Asked], exchange: Exchange) -> None:
        exchange.begin_batch()
        request = ExchangeFibRequest(
            source=exchange.source,
            sequence=next(self._sequence),
            n=[asked.n for asked in batch],
            encodings=[asked.encoding for asked in batch],
            request_ids=[asked.request_id for asked in batch],
        )
        self.batch_sizes.observe(len(batch))
        self._under_way[exchange] = batch
        try:
            with self._span(batch):
                response = await self._caller.call(lambda _: exchange.answer(request), deadline=batch[-1].deadline)
            self._settle(batch, response, exchange.call_id)
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            mark_batch(error, exchange.call_id)
            _fail(batch, error)
        finally:
            del self._under_way[exchange]

    def _span(self, batch: list[_Asked]) -> AbstractContextManager[None] | Active:
        return batch_span(self._tracer, [asked.span for asked in batch]) if self._tracer else NOTHING

    def _sweep(self) -> None:
        self._end_overdue(self._waiting, None)
        for exchange, batch in self._under_way.items():
            self._end_overdue(batch, exchange.call_id)
        if self._waiting:
            self._wake_exchange()
        self._sweep_timer = None
        if self._waiting or self._under_way:
            self._set_sweep_timer()

    def _end_overdue(self, line: Iterable[_Asked], batch_id: str | None) -> None:
        now = self._loop.time()
        passed = itertools.takewhile(lambda asked: asked.deadline <= now, line)
        if overdue := [asked for asked in passed if not asked.answer.done()]:
            error = self._caller.late()
            if batch_id is not None:
                mark_batch(error, batch_id)
            _fail(overdue, error)

    def _settle(self, batch: list[_Asked], response: ExchangeFibResponse, batch_id: str) -> None:
        if len(response.values) != len(batch):  # then it is nobody's, not the first ones'
            raise ValueError(f"{len(batch)} numbers were asked for and {len(response.values)} came")
        errors = response.errors
        for position, (asked, value) in enumerate(zip(batch, response.values, strict=True)):
            if asked.answer.done():
                continue
            if not value and position in errors:
                error = UpstreamError.from_status(errors[position])
                error.service = self._caller.service
                mark_batch(error, batch_id)
                asked.answer.set_exception(error)
            else:
                asked.answer.set_result(value)


def _fail(requests: Iterable[_Asked], error: Exception) -> None:
    for asked in requests:
        if not asked.answer.done():
            asked.answer.set_exception(error)
