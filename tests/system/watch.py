"""A load during which both accounts are read all the while, and must never contradict each other or themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import httpx
from google.protobuf.empty_pb2 import Empty

from deploy.local.processes import System
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import RecorderResponse
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.system.load import WORKERS, Load, load

RECORDER_PAUSE_SECONDS = 0.01
STATS_PAUSE_SECONDS = 0.05
BEGIN_SECONDS = 10.0
#: What a service that is away, hung or stopping is answered with.
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


class Watch:
    """What was read of GetRecorder and of GET /stats, and what of it cannot be true."""

    def __init__(self, *, sent: Load) -> None:
        self.faults: list[str] = []
        self.recorder_reads = 0
        self.stats_statuses: dict[int, int] = {}
        #: The last read of each life of fibonacci_service.
        self.lives: dict[str, RecorderResponse] = {}
        #: The first life was read: none that follows is taken for it.
        self.began = asyncio.Event()
        self._sent = sent
        self._total = 0

    @property
    def acknowledged(self) -> int:
        """What stats_service is known to have counted."""
        return sum(life.recorded for life in self.lives.values())

    def see_recorder(self, seen: RecorderResponse, *, answered_before: int) -> None:
        """Judges one read; `answered_before` had come back when it was asked for."""
        self.recorder_reads += 1
        before = self.lives.get(seen.source, RecorderResponse())
        self.lives[seen.source] = seen
        self.began.set()
        self._expect(seen.served == seen.recorded + seen.pending + seen.dropped, "the sum is wrong", seen)
        self._expect(min(seen.recorded, seen.pending, seen.dropped) >= 0, "a figure is negative", seen)
        fell = seen.served < before.served or seen.recorded < before.recorded or seen.dropped < before.dropped
        self._expect(not fell, f"a figure fell, from {before}", seen)
        if len(self.lives) == 1:  # what a later life served follows from no figure of one life
            plausible = answered_before <= seen.served <= self._sent.asked
            self._expect(plausible, f"between {answered_before} and {self._sent.asked} were served", seen)

    def see_older_release(self) -> None:
        """A life that cannot be asked yet."""
        self.lives[""] = RecorderResponse()
        self.began.set()

    def see_stats(self, response: httpx.Response, *, acknowledged_before: int) -> None:
        """Judges one answer; `acknowledged_before` had been counted when it was asked for."""
        status = response.status_code
        self.stats_statuses[status] = self.stats_statuses.get(status, 0) + 1
        if status != 200:
            self._expect(status == 503, "neither an answer nor a 503", response.text)
            return
        stats = response.json()
        total = stats["total_requests"]
        by_number = sum(number["request_count"] for number in stats["fibonacci_stats"])
        self._expect(by_number == total, f"the numbers add up to {by_number}", total)
        self._expect(total >= self._total, f"the total fell from {self._total}", total)
        # The gateway asks again what a life of fibonacci_service was about to answer when it ended.
        most = self._sent.asked + WORKERS * (len(self.lives) - 1)
        plausible = acknowledged_before <= total <= most
        self._expect(plausible, f"between {acknowledged_before} and {most} were counted", total)
        self._total = total

    def _expect(self, true: bool, fault: str, seen: object) -> None:  # noqa: FBT001 - reads as a sentence
        if not true:
            self.faults.append(f"{fault}: {seen}")


@asynccontextmanager
async def watched_load(system: System, *, stats_age_seconds: float = 0) -> AsyncIterator[tuple[Load, Watch]]:
    """A load that was judged all the while when this is left. The system has to be fresh.

    GET /stats may be so old where a second stats_service counts too.
    """
    async with httpx.AsyncClient(base_url=system.url, timeout=30) as client:
        async with load(system.url) as sent:
            watch = Watch(sent=sent)
            watching = [
                asyncio.create_task(_watch_recorder(system, watch, sent)),
                asyncio.create_task(_watch_stats(client, watch, stats_age_seconds)),
            ]
            try:
                async with asyncio.timeout(BEGIN_SECONDS):
                    await watch.began.wait()
                yield sent, watch
            finally:
                for task in watching:
                    task.cancel()
                ended = await asyncio.gather(*watching, return_exceptions=True)
        assert [type(end) for end in ended] == [asyncio.CancelledError] * 2, ended
        await _look_at_stats(client, watch, stats_age_seconds)
    assert not watch.faults, f"{len(watch.faults)} of them, such as {watch.faults[:3]}"
    assert watch.recorder_reads
    assert watch.stats_statuses.get(200)


async def _watch_recorder(system: System, watch: Watch, sent: Load) -> None:
    async with open_channel(f"127.0.0.1:{system.fibonacci.port}") as channel:
        stub = FibonacciStub(channel)
        while True:
            answered_before = sent.succeeded
            try:
                seen = await stub.GetRecorder(Empty(), timeout=2)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    watch.see_older_release()
                elif error.code() not in _AWAY:
                    raise
            else:
                watch.see_recorder(seen, answered_before=answered_before)
            await asyncio.sleep(RECORDER_PAUSE_SECONDS)


async def _watch_stats(client: httpx.AsyncClient, watch: Watch, age_seconds: float) -> None:
    while True:
        await _look_at_stats(client, watch, age_seconds)
        await asyncio.sleep(STATS_PAUSE_SECONDS)


async def _look_at_stats(client: httpx.AsyncClient, watch: Watch, age_seconds: float) -> None:
    acknowledged_before = watch.acknowledged
    await asyncio.sleep(age_seconds)
    watch.see_stats(await client.get("/stats"), acknowledged_before=acknowledged_before)
