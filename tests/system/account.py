"""What was answered beside what was counted, once everything has come to rest."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from google.protobuf.empty_pb2 import Empty

from deploy.local.processes import ServiceProcess, System
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import RecorderResponse
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.system.load import Load

REST_SECONDS = 15.0
#: After a read that found everything counted, until the read that would show a request counted twice.
SECOND_LOOK_SECONDS = 0.2
#: What stats_service logs of a batch that it took.
COUNTED: dict[str, Any] = {"method": "/stats.Stats/RecordNo", "code": "OK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """`recorded` is what fibonacci_service knows to be counted, in all of its lives that ended in order."""

    answered: Counter[int]
    counted: Counter[int]
    served: int
    recorded: int
    dropped: int

    @property
    def lost(self) -> int:
        """By number, so that one lost and another doubled do not make up for each other."""
        return sum((self.answered - self.counted).values())

    @property
    def doubled(self) -> int:
        return sum((self.counted - self.answered).values())

    @property
    def is_exact(self) -> bool:
        return self.answered == self.counted and self.served == self.recorded == sum(self.counted.values())

    def __str__(self) -> str:
        return f"served {self.served} recorded {self.recorded} lost {self.lost} doubled {self.doubled}"


async def settled(system: System, sent: Load) -> Account:
    """The account once the recorder that runs has nothing left to deliver; it may not take long."""
    return await settled_over([system.fibonacci], system.stats, sent)


async def settled_over(replicas: Sequence[ServiceProcess], stats: ServiceProcess, sent: Load) -> Account:
    """The same where several fibonacci_services answered, of which some may have ended in order."""
    async with asyncio.timeout(REST_SECONDS):
        recorders = [await _delivered(replica) for replica in replicas if replica.process.poll() is None]
    await asyncio.sleep(SECOND_LOOK_SECONDS)
    ended = [line for replica in replicas for line in replica.lines if line.get("event") == "stats.flushed"]
    return Account(
        answered=Counter(sent.numbers),
        counted=await counted(stats),
        served=sum(life.served for life in recorders) + sum(line["served"] for line in ended),
        recorded=sum(life.recorded for life in recorders) + sum(line["recorded"] for line in ended),
        dropped=sum(life.dropped for life in recorders) + sum(line["dropped"] for line in ended),
    )


async def _delivered(fibonacci: ServiceProcess) -> RecorderResponse:
    while (recorder := await read_recorder(fibonacci)).pending:  # noqa: ASYNC110 - of another process
        await asyncio.sleep(0.02)
    return recorder


async def next_record(stats: ServiceProcess) -> None:
    """Waits until one batch more is counted; a recorder waits up to a second between two attempts."""
    after = counted_batches(stats)
    await asyncio.to_thread(lambda: stats.wait_for("rpc.served", after=after, **COUNTED))


def counted_batches(stats: ServiceProcess) -> int:
    """How many batches it has counted in all its lives."""
    return stats.count("rpc.served", **COUNTED)


async def read_recorder(fibonacci: ServiceProcess) -> RecorderResponse:
    async with open_channel(f"{fibonacci.host}:{fibonacci.port}") as channel:
        return await FibonacciStub(channel).GetRecorder(Empty(), timeout=5, wait_for_ready=True)


async def counted(stats: ServiceProcess) -> Counter[int]:
    """How often each number was counted, where no more than 100 were asked for; as every release can be asked."""
    async with open_channel(f"{stats.host}:{stats.port}") as channel:
        response = await StatsStub(channel).GetStats(Empty(), timeout=5, wait_for_ready=True)
    numbers = Counter({row.n: row.request_count for row in response.fibonacci_stats})
    assert numbers.total() == response.total_requests
    return numbers


def total(system: System) -> int:
    """The total of GET /stats; -1 while stats_service cannot be asked."""
    response = httpx.get(f"{system.url}/stats", timeout=30)
    return int(response.json()["total_requests"]) if response.status_code == 200 else -1


def settled_total(system: System, expected: int, *, seconds: float = REST_SECONDS) -> int:
    """The total once it is what is expected, or what it is when the time is up.

    It is read once more a little after it was right, so that a request counted twice is seen.
    """
    patience_ends = time.monotonic() + seconds
    while total(system) != expected and time.monotonic() < patience_ends:
        time.sleep(0.05)
    time.sleep(SECOND_LOOK_SECONDS)
    return total(system)
