"""The client of stats_service: one call after the other.

Runs as a process: `python -m bench.stats.calls`. Batches are made and encoded before the first is timed.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import grpc

from bench.child import Child, serve_tasks
from bench.stats.batches import random_batches, rising_batches
from service_kit.pb.stats.stats_pb2 import RecordRequest, RecordResponse, StatsResponse

TIMEOUT_SECONDS = 30.0
#: Between two readings; what was read is kept for others who ask within 0.1 s.
PAUSE_SECONDS = 0.12


class StatsClient(Child):
    """The process, seen from the benchmark's, for the service on one port."""

    def __init__(self, port: int) -> None:
        super().__init__("bench.stats.calls")
        self._port = port

    def fill(self, numbers: int) -> float:
        """Records each n below that once, and returns the seconds it took."""
        return float(self.ask("fill", self._port, numbers))

    def commits_ms(self, source: str, *, below: int, count: int) -> list[float]:
        """Records batches of different n each, and returns what each took."""
        return [float(each) for each in self.ask("commits_ms", self._port, source, below, count)]

    def readings_ms(self, count: int) -> list[float]:
        """Asks for the busiest numbers, and returns what each answer took."""
        return [float(each) for each in self.ask("readings_ms", self._port, count)]

    def total(self) -> int:
        return int(self.ask("total", self._port))


def fill(port: int, numbers: int) -> float:
    return sum(asyncio.run(_record(port, rising_batches("fill", numbers=numbers))))


def commits_ms(port: int, source: str, below: int, count: int) -> list[float]:
    batches = list(random_batches(source, below=below, count=count))
    return [seconds * 1000 for seconds in asyncio.run(_record(port, batches))]


async def _record(port: int, batches: Iterable[RecordRequest]) -> list[float]:
    """The seconds that each call took."""
    taken = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        record: Any = channel.unary_unary("/stats.Stats/RecordNo", response_deserializer=RecordResponse.FromString)
        for batch in batches:
            encoded = batch.SerializeToString()
            started = time.perf_counter()
            response = await record(encoded, timeout=TIMEOUT_SECONDS)
            taken.append(time.perf_counter() - started)
            if not response.success or response.duplicate:
                raise ValueError(f"batch {batch.sequence} of {batch.source} was answered {response}")
    return taken


def readings_ms(port: int, count: int) -> list[float]:
    return [taken * 1000 for taken, _ in asyncio.run(_read(port, count))]


def total(port: int) -> int:
    [(_, response)] = asyncio.run(_read(port, 1))
    return StatsResponse.FromString(response).total_requests


async def _read(port: int, count: int) -> list[tuple[float, bytes]]:
    """What each answer took, and its bytes."""
    answers = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        read: Any = channel.unary_unary("/stats.Stats/GetStats")
        for _ in range(count):
            started = time.perf_counter()
            response = await read(b"", timeout=TIMEOUT_SECONDS)
            answers.append((time.perf_counter() - started, response))
            await asyncio.sleep(PAUSE_SECONDS)
    return answers


if __name__ == "__main__":
    serve_tasks({"fill": fill, "commits_ms": commits_ms, "readings_ms": readings_ms, "total": total})
