"""Reports every answer to stats_service without making any answer wait.

What was answered is added up by number, and the sums travel as one RecordNo each interval. A batch is sent
again, unchanged, until it is acknowledged; its source and sequence let stats_service count it once.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

import grpc
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

from fibonacci_service.calculator import Computation
from service_kit.lifecycle import supervise
from service_kit.pb.stats.stats_pb2 import NumberRecord, RecordRequest
from service_kit.pb.stats.stats_pb2_grpc import StatsStub

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

log = structlog.get_logger()

#: The most records that stats_service takes in one batch.
MAX_BATCH_RECORDS = 1_000
#: Answers that will not change however often the batch is sent.
_FINAL = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNIMPLEMENTED})


@dataclass(slots=True)
class Tally:
    """What happened to one number since its batch was opened; times in nanoseconds."""

    count: int
    cache_hits: int
    total_ns: int
    min_ns: int
    max_ns: int


class StatsRecorder:
    """An observer of computations. At any instant served = recorded + pending + dropped, in requests."""

    def __init__(
        self,
        *,
        channel: grpc.aio.Channel,
        interval_seconds: float,
        deadline_seconds: float,
        flush_seconds: float,
        max_pending: int,
        max_batch_age_seconds: float,
    ) -> None:
        self._channel = channel
        self._stub: StatsAsyncStub = StatsStub(channel)
        self._interval_seconds = interval_seconds
        self._deadline_seconds = deadline_seconds
        self._flush_seconds = flush_seconds
        self._max_pending = max_pending
        self._max_batch_age_seconds = max_batch_age_seconds
        self._open: dict[int, Tally] = {}
        self._closed: list[RecordRequest] = []
        self._source = secrets.token_hex(16)
        self._sequence = 0
        self._overflowed = 0
        self.served = 0
        self.recorded = 0
        self.dropped = 0

    @property
    def pending(self) -> int:
        return self.served - self.recorded - self.dropped

    def record(self, computation: Computation) -> None:
        """Adds one answer: a dictionary look-up and five additions, never a wait."""
        self.served += 1
        duration_ns = computation.duration_ns
        tally = self._open.get(computation.n)
        if tally is None:
            self._open_tally(computation)
            return
        tally.count += 1
        tally.cache_hits += computation.cached
        tally.total_ns += duration_ns
        if duration_ns < tally.min_ns:
            tally.min_ns = duration_ns
        elif duration_ns > tally.max_ns:
            tally.max_ns = duration_ns

    def _open_tally(self, computation: Computation) -> None:
        if len(self._open) >= self._max_pending:
            self.dropped += 1
            self._overflowed += 1
            return
        duration_ns = computation.duration_ns
        self._open[computation.n] = Tally(1, int(computation.cached), duration_ns, duration_ns, duration_ns)

    async def __aenter__(self) -> Self:
        self._sending = asyncio.create_task(supervise("stats_recorder", self._send_for_ever))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Sends what is left within the flush time; what still remains is dropped, counted and logged."""
        self._sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sending
        try:
            async with asyncio.timeout(self._flush_seconds):
                await self._send_closed()
                self._close_open()
                await self._send_closed()
        except TimeoutError:
            self._drop(self.pending, reason="the service stopped before they were acknowledged")
        if self.served:
            log.info("stats.flushed", served=self.served, recorded=self.recorded, dropped=self.dropped)

    async def _send_for_ever(self) -> None:
        await self._send_closed()  # what a crash of this task left behind
        while True:
            await asyncio.sleep(self._interval_seconds)
            self._close_open()
            await self._send_closed()

    async def _send_closed(self) -> None:
        """Sends the closed batches, the oldest first, until none is left."""
        while self._closed:
            await self._service_reachable()
            await self._deliver(self._closed[0])
            del self._closed[0]

    async def _service_reachable(self) -> None:
        """Waits for a connection. No attempt is made without one, so a batch that cannot have arrived does not age."""
        if self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            log.warning("stats.unreachable", error="not connected", pending=self.pending)
            await self._channel.channel_ready()
            log.info("stats.reachable", pending=self.pending)

    def _close_open(self) -> None:
        self._log_dropped(self._overflowed, reason="FIBONACCI_STATS_MAX_PENDING different numbers waited")
        self._overflowed = 0
        closing, self._open = self._open, {}
        for records in _batches(closing):
            self._sequence += 1
            self._closed.append(RecordRequest(source=self._source, sequence=self._sequence, records=records))

    async def _deliver(self, batch: RecordRequest) -> None:
        """Sends one batch until it is acknowledged, refused for good or too old."""
        count = sum(record.count for record in batch.records)
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            stop=stop_after_delay(self._max_batch_age_seconds),
            before_sleep=_log_outage,
            reraise=True,
        )
        try:
            await retrying(self._send, batch)
        except grpc.aio.AioRpcError as error:
            self._drop(count, reason=f"{error.code().name}: {error.details()}")
        else:
            self.recorded += count
            if retrying.statistics["attempt_number"] > 1:
                log.info("stats.reachable", pending=self.pending)

    async def _send(self, batch: RecordRequest) -> None:
        await self._stub.RecordNo(batch, timeout=self._deadline_seconds, wait_for_ready=True)

    def _drop(self, count: int, *, reason: str) -> None:
        self.dropped += count
        self._log_dropped(count, reason=reason)

    def _log_dropped(self, count: int, *, reason: str) -> None:
        if count:
            log.warning("stats.dropped", count=count, total_dropped=self.dropped, reason=reason)


def _batches(tallies: Mapping[int, Tally]) -> Iterator[list[NumberRecord]]:
    """The tallies in rising order of n, in lists that fit one batch."""
    indices = sorted(tallies)
    for start in range(0, len(indices), MAX_BATCH_RECORDS):
        yield [_record(n, tallies[n]) for n in indices[start : start + MAX_BATCH_RECORDS]]


def _record(n: int, tally: Tally) -> NumberRecord:
    return NumberRecord(
        n=n,
        count=tally.count,
        cache_hits=tally.cache_hits,
        total_duration=tally.total_ns,
        min_duration=tally.min_ns,
        max_duration=tally.max_ns,
    )


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() not in _FINAL


def _log_outage(state: RetryCallState) -> None:
    """Once an outage, not once an attempt."""
    if state.attempt_number == 1 and state.outcome is not None:
        error = state.outcome.exception()
        log.warning("stats.unreachable", error=error.code().name if isinstance(error, grpc.aio.AioRpcError) else "")
