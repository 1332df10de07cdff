"""What one answer costs the recorder: the real one, which adds it up and sends nothing.

Runs as a process: `python -m bench.stats.record_path`.
"""

import asyncio
import time
from itertools import cycle, islice

import grpc

from bench import aims
from bench.answers import EACH_INDEX, MEASURED_INDEX
from bench.child import Child, serve_tasks
from bench.figures import Figure, Part
from bench.stats.batches import DURATIONS_NS
from fibonacci_service.observations import Computation
from fibonacci_service.settings import Settings
from fibonacci_service.stats_recorder import StatsRecorder
from fibonacci_service.values import EncodedValue

RECORDS = 100_000


def measure_record_path(*, rounds: int) -> Part:
    with Child("bench.stats.record_path") as process:
        one, each = (
            [float(process.ask("record_ns", indices)) for _ in range(rounds)]
            for indices in ([MEASURED_INDEX], [*EACH_INDEX])
        )
    return Part(
        "stats-record",
        "What fibonacci_service takes to record an answer",
        [
            Figure("ns/request, n = 10", one, aims.RECORD_NS),
            Figure("ns/request, n from 0 to 92", each, aims.RECORD_NS),
        ],
    )


def record_ns(indices: list[int]) -> float:
    return asyncio.run(_record_ns(indices))


async def _record_ns(indices: list[int]) -> float:
    settings = Settings()
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        recorder = StatsRecorder(
            channel=channel,
            target=settings.stats_target,
            clock=time.time,
            interval_seconds=settings.stats_interval_seconds,
            deadline_seconds=settings.stats_deadline_seconds,
            flush_seconds=settings.stats_flush_seconds,
            max_pending=settings.stats_max_pending,
            max_batch_age_seconds=settings.stats_max_batch_age_seconds,
        )
        value = EncodedValue(b"55", b"")
        kinds = [Computation(n, value, "cache", duration_ns) for n in indices for duration_ns in DURATIONS_NS]
        computations = list(islice(cycle(kinds), RECORDS))
        record = recorder.record
        started = time.perf_counter_ns()
        for computation in computations:
            record(computation)
        taken_ns = time.perf_counter_ns() - started
    if recorder.pending != RECORDS:
        raise ValueError(f"{RECORDS} answers were recorded and {recorder.pending} are pending")
    return taken_ns / RECORDS


if __name__ == "__main__":
    serve_tasks({"record_ns": record_ns})
