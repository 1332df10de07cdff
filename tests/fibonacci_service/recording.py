"""A recorder to test, what is recorded in it, and what it says of that."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import grpc

from fibonacci_service.observations import Computation, Origin
from fibonacci_service.stats_recorder import StatsRecorder
from fibonacci_service.values import EncodedValue
from service_kit.pb.stats import stats_pb2

#: An interval that does not pass during a test: only leaving sends.
NEVER = 3600.0


class SetClock:
    """A time of day that stands where it was set, and knows when it was read."""

    def __init__(self, now: float) -> None:
        self.now = now
        self._read = asyncio.Event()

    def __call__(self) -> float:
        self._read.set()
        return self.now

    async def read(self) -> None:
        """Returns once somebody has read the time after this was called, and done what came of it."""
        self._read.clear()
        async with asyncio.timeout(30):
            await self._read.wait()


def recorder_of(channel: grpc.aio.Channel, **changes: Any) -> StatsRecorder:
    """A recorder that sends all the time and does not give up, where a test does not say otherwise."""
    patient = {"interval_seconds": 0.001, "deadline_seconds": 30, "flush_seconds": 30, "clock": time.time}
    bounds = {"target": "the stats", "max_pending": 100_000, "max_batch_age_seconds": 3600}
    return StatsRecorder(channel=channel, **{**patient, **bounds, **changes})


def answered(n: int, duration_ns: int = 1_000, *, origin: Origin = "computed") -> Computation:
    return Computation(n, EncodedValue(b"1", b""), origin, duration_ns)


def record_all(recorder: StatsRecorder, indices: Iterable[int]) -> None:
    for n in indices:
        recorder.record(answered(n))


def account(recorder: StatsRecorder) -> dict[str, int]:
    return {name: getattr(recorder, name) for name in ("served", "recorded", "pending", "dropped")}


def shape(batch: stats_pb2.RecordRequest) -> tuple[int, dict[int, int]]:
    """A batch's sequence, and how often it counts each number."""
    return batch.sequence, {record.n: record.count for record in batch.records}
