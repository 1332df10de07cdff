"""Sends one batch to stats_service, until there is an answer or no hope of one."""

import asyncio
from typing import TYPE_CHECKING

import grpc
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

from service_kit.pb.stats.stats_pb2 import RecordRequest
from service_kit.pb.stats.stats_pb2_grpc import StatsStub

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

log = structlog.get_logger()

#: Answers that will not change however often the batch is sent.
_FINAL = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE, grpc.StatusCode.UNIMPLEMENTED})


class BatchGivenUp(Exception):
    """A batch that was refused for good, or grew too old; the text says which."""


class StatsSender:
    """The one exemption from the rules of retrying: it tries for as long as a batch may live."""

    def __init__(
        self, *, channel: grpc.aio.Channel, target: str, deadline_seconds: float, max_batch_age_seconds: float
    ) -> None:
        self._channel = channel
        self._target = target
        self._stub: StatsAsyncStub = StatsStub(channel)
        self._deadline_seconds = deadline_seconds
        self._max_batch_age_seconds = max_batch_age_seconds
        #: Attempts after one that failed.
        self.resent = 0

    async def send(self, batch: RecordRequest) -> None:
        """Returns once the batch is acknowledged. Raises BatchGivenUp.

        No attempt is made without a connection, so a batch that cannot have arrived does not age.
        """
        await self._connected()
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_transient),
            wait=wait_random_exponential(multiplier=0.1, max=1.0),
            stop=stop_after_delay(self._max_batch_age_seconds),
            before_sleep=self._before_another,
            reraise=True,
        )
        try:
            await retrying(self._attempt, batch)
        except grpc.aio.AioRpcError as error:
            raise BatchGivenUp(f"{error.code().name}: {error.details()}") from error
        if retrying.statistics["attempt_number"] > 1:
            log.info("stats.reachable")

    async def _connected(self) -> None:
        if self._channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        try:
            async with asyncio.timeout(self._deadline_seconds):
                await self._channel.channel_ready()
        except TimeoutError:
            log.warning("stats.unreachable", target=self._target, error="not connected")
            await self._channel.channel_ready()
            log.info("stats.reachable")

    def _before_another(self, state: RetryCallState) -> None:
        """Logs an outage once, not once an attempt."""
        self.resent += 1
        if state.attempt_number == 1 and state.outcome is not None:
            error = state.outcome.exception()
            code = error.code().name if isinstance(error, grpc.aio.AioRpcError) else ""
            log.warning("stats.unreachable", target=self._target, error=code)

    async def _attempt(self, batch: RecordRequest) -> None:
        await self._stub.RecordNo(batch, timeout=self._deadline_seconds, wait_for_ready=True)


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, grpc.aio.AioRpcError) and error.code() not in _FINAL
