"""Reports what fibonacci_service did to stats_service without making any answer wait.

What happened is added up by number in the open aggregate; every interval that is closed, and its sums travel as one
RecordNo. A batch is sent again, unchanged, until it is acknowledged; its source and sequence let stats_service count
it once.
"""

import asyncio
import secrets
from collections.abc import Callable
from types import TracebackType
from typing import Self

import grpc
import structlog

from fibonacci_service.aggregate import Aggregate, Subject, Tally
from fibonacci_service.observations import Computation, Failure, Operation
from fibonacci_service.outbox import Outbox, entry_count, request_count
from fibonacci_service.record_span import record_span
from fibonacci_service.stats_sender import BatchGivenUp, StatsSender
from service_kit.lifecycle import supervise
from service_kit.pb.stats.stats_pb2 import RecordRequest
from service_kit.trace_context import TraceContext
from service_kit.traces import Tracer

log = structlog.get_logger()

#: While there is no room, the log says how much was dropped no more often than so.
DROPPED_LOG_SECONDS = 1.0

#: The time of day in seconds since the epoch, as `time.time` gives it.
Clock = Callable[[], float]


class StatsRecorder:
    """An observer. At any instant served = recorded + pending + dropped, in answered requests."""

    def __init__(
        self,
        *,
        channel: grpc.aio.Channel,
        target: str,
        clock: Clock,
        interval_seconds: float,
        deadline_seconds: float,
        flush_seconds: float,
        max_pending: int,
        max_batch_age_seconds: float,
        tracer: Tracer | None = None,
    ) -> None:
        self._sender = StatsSender(
            channel=channel,
            target=target,
            deadline_seconds=deadline_seconds,
            max_batch_age_seconds=max_batch_age_seconds,
        )
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._flush_seconds = flush_seconds
        self._max_pending = max_pending
        self._tracer = tracer
        self.source = secrets.token_hex(16)
        self._open = Aggregate(start_time=clock())
        self._outbox = Outbox(source=self.source)
        self._overflowed = 0
        self._failures_overflowed = 0
        self._overflow_told_at = 0.0
        self._recordless_logged = False
        self.served = 0
        self.recorded = 0
        self.dropped = 0

    @property
    def pending(self) -> int:
        """Counted from what waits, number by number, so that the three sums can be held against `served`."""
        return self._outbox.request_count + self._open.request_count

    @property
    def pending_seconds(self) -> float:
        """How old the oldest of what waits may be."""
        since = self._outbox.since or (self._open.start_time if self._open.size else None)
        return 0.0 if since is None else max(0.0, self._clock() - since)

    @property
    def batches_resent(self) -> int:
        return self._sender.resent

    def record(self, computation: Computation, times: int = 1) -> None:
        """Adds answers to their number's tally: two look-ups and some additions, never a wait."""
        self.served += times
        tally = self._open.tallies.get(computation.n)
        if tally is None:
            if self._full:
                self.dropped += times
                self._overflowed += times
                return
            tally = self._open.tallies[computation.n] = Tally()
        tally.add(computation.duration_ns, computation.origin, times)

    def record_failure(self, failure: Failure) -> None:
        if self._full and (failure.n, failure.kind) not in self._open.failures:
            self._failures_overflowed += 1
        else:
            self._open.add_failure(failure)

    def record_operation(self, operation: Operation) -> None:
        """There is always room: an aggregate holds as many sums of these as there are operations."""
        self._open.add_operation(operation)

    def add_cause(self, subject: Subject, context: TraceContext) -> None:
        """Says by whose request something was recorded."""
        self._open.add_cause(subject, context)

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(supervise("close_stats", self._close_for_ever)),
            asyncio.create_task(supervise("send_stats", self._send_for_ever)),
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Sends what is left within the flush time; what still remains is dropped, counted and logged."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._log_overflow()
        self._close_open()
        try:
            async with asyncio.timeout(self._flush_seconds):
                await self._send_closed()
        except TimeoutError:
            given_up = self.pending
            self._outbox.clear()
            self._drop(given_up, reason="the service stopped before they were acknowledged")
        if self.served:
            log.info("stats.flushed", served=self.served, recorded=self.recorded, dropped=self.dropped)

    async def _close_for_ever(self) -> None:
        """Sets the pace: at most one batch leaves in an interval, however soon the one before was acknowledged."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            if self._outbox.size == 0 or self._minute_is_over:
                self._close_open()
            now = asyncio.get_running_loop().time()
            if now - self._overflow_told_at >= DROPPED_LOG_SECONDS and self._log_overflow():
                self._overflow_told_at = now

    async def _send_for_ever(self) -> None:
        while True:
            await self._outbox.filled()
            await self._send_closed()

    async def _send_closed(self) -> None:
        """Sends what was closed, one batch after another, until nothing is left."""
        while (batch := self._outbox.oldest()) is not None:
            await self._deliver(batch)
            self._outbox.remove_oldest()

    async def _deliver(self, batch: RecordRequest) -> None:
        causes, entries = self._outbox.causes, entry_count(batch)
        try:
            with record_span(self._tracer, causes, sequence=batch.sequence, entries=entries):
                await self._sender.send(batch)
        except BatchGivenUp as error:
            self._give_up(batch, reason=str(error))
        else:
            self.recorded += request_count(batch)

    def _close_open(self) -> None:
        now = self._clock()
        if self._open.size:
            self._outbox.add(self._open, end_time=now)
        self._open = Aggregate(start_time=now)

    @property
    def _minute_is_over(self) -> bool:
        """Whether to close though sending is held up, so that an outage does not end up in one minute of the account.

        The same number takes room in each minute's aggregate, so from half of the room on one goes on for all minutes.
        """
        return self._open.start_time // 60 != self._clock() // 60 and 2 * self._waiting < self._max_pending

    @property
    def _waiting(self) -> int:
        return self._outbox.size + self._open.size

    @property
    def _full(self) -> bool:
        return self._waiting >= self._max_pending

    def _give_up(self, batch: RecordRequest, *, reason: str) -> None:
        """A batch without records loses no answer; a stats_service of before there were such refuses every one."""
        if batch.records:
            self._drop(request_count(batch), reason=reason)
        elif not self._recordless_logged:
            self._recordless_logged = True
            log.warning("stats.recordless_dropped", entries=entry_count(batch), reason=reason)

    def _drop(self, count: int, *, reason: str) -> None:
        self.dropped += count
        if count:
            log.warning("stats.dropped", count=count, total_dropped=self.dropped, reason=reason)

    def _log_overflow(self) -> bool:
        """Whether something was dropped since the line before."""
        if not (self._overflowed or self._failures_overflowed):
            return False
        log.warning(
            "stats.dropped",
            count=self._overflowed,
            failures=self._failures_overflowed,
            total_dropped=self.dropped,
            reason="FIBONACCI_STATS_MAX_PENDING different numbers waited",
        )
        self._overflowed = self._failures_overflowed = 0
        return True
