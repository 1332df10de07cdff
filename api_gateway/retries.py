"""One deadline over all attempts, which errors are worth another, and how many others there may be."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, wait_random_exponential

from api_gateway import deadlines
from api_gateway.deadlines import current_deadline
from api_gateway.errors import DeadlineExceeded, ServiceUnavailable, UpstreamError
from api_gateway.retry_budget import RetryBudget
from service_kit.metrics import Histograms

log = structlog.get_logger()

T = TypeVar("T")

#: The ends of an attempt that do not say that a server was there.
_NO_ANSWER = frozenset({grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
#: So much earlier than it is due a timer may go off.
_TIMER_SECONDS = 0.002
#: Attempts that reached a server: calls wait for the connection, so one that is down uses up none.
MAX_ATTEMPTS = 5


class Caller:
    """Calls one service: waits for it, retries when it is UNAVAILABLE, and gives up at the deadline.

    The log tells once that there is no connection to it, and once that it answers again.
    """

    def __init__(self, *, service: str, channel: grpc.aio.Channel, deadline_seconds: float, target: str = "") -> None:
        """`target` is where the channel leads, for the log."""
        self.service = service
        self._target = target
        self._channel = channel
        self.deadline_seconds = deadline_seconds
        self._budget = RetryBudget()
        self._unreachable = False
        #: By service and status code.
        self.attempts = Histograms()
        self.retries = 0
        self.retries_refused = 0

    async def call(self, attempt: Callable[[float], Awaitable[T]], *, deadline: float | None = None) -> T:
        """Runs `attempt(deadline)`, a time of the loop's clock, and again after an UNAVAILABLE.

        The deadline is the request's own or `deadline_seconds` from now, unless it is given. Raises UpstreamError,
        ServiceUnavailable or DeadlineExceeded.
        """
        now = asyncio.get_running_loop().time()
        by_client = current_deadline.get() if deadline is None else None
        deadline = deadline or by_client or now + self.deadline_seconds
        if deadline <= now:
            raise self.late(by_client=by_client is not None)
        self._budget.add_call()
        try:
            async with asyncio.timeout_at(deadline):
                return await self._with_retries(attempt, deadline)
        except TimeoutError:
            raise self.late(by_client=by_client is not None) from None
        except UpstreamError as error:
            error.service = self.service
            if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise self.late(by_client=by_client is not None, answer=error) from error
            if error.code is grpc.StatusCode.UNAVAILABLE:
                raise ServiceUnavailable(self.service, str(error)) from error
            raise

    def connected(self) -> bool:
        """Whether a server can be reached now; asks an idle channel to connect."""
        return self._state() is grpc.ChannelConnectivity.READY

    async def _with_retries(self, attempt: Callable[[float], Awaitable[T]], deadline: float) -> T:
        # Entering tenacity costs 25 us, about as much as the rest of a request, so the first attempt goes without.
        try:
            return await self._attempt(attempt, deadline)
        except UpstreamError as error:
            if not _is_unavailable(error):
                raise
            first_error = error
        retrying = AsyncRetrying(
            retry=retry_if_exception(_is_unavailable),
            wait=wait_random_exponential(multiplier=0.05, max=1.0),
            stop=self._gives_up,
            before_sleep=self._log_retry,
            reraise=True,
        )
        async for state in retrying:
            with state:
                if state.retry_state.attempt_number == 1:
                    raise first_error
                return await self._attempt(attempt, deadline)
        raise first_error  # not reached: the loop returns or raises

    async def _attempt(self, attempt: Callable[[float], Awaitable[T]], deadline: float) -> T:
        started = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            answer = await attempt(deadline)
            code = grpc.StatusCode.OK
        except UpstreamError as error:
            code = error.code
            raise
        except asyncio.CancelledError:
            if asyncio.get_running_loop().time() > deadline - _TIMER_SECONDS:
                code = grpc.StatusCode.DEADLINE_EXCEEDED
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL  # an answer that is none
            raise
        else:
            return answer
        finally:
            self.attempts.observe((self.service, code.name), time.perf_counter() - started)
            if self._unreachable and code not in _NO_ANSWER:
                self._unreachable = False
                log.info("callee.reachable", callee=self.service)

    def _gives_up(self, state: RetryCallState) -> bool:
        """Whether there is no further attempt; for one that there is, the budget has been asked."""
        if state.attempt_number >= MAX_ATTEMPTS:
            return True
        if self._budget.take():
            return False
        self.retries_refused += 1
        log.info("call.not_retried", callee=self.service, error=_error_of(state))
        return True

    def late(
        self, *, by_client: bool = False, answer: UpstreamError | None = None
    ) -> ServiceUnavailable | DeadlineExceeded:
        """What to say when the deadline has passed, which the client may have set, or the service says that it has."""
        allowed = f"{deadlines.HEADER} of the request" if by_client else f"the {self.deadline_seconds:g} s of a call"
        cause = f"{answer}, within {allowed}" if answer else f"no answer within {allowed}"
        if self.connected():
            return DeadlineExceeded(self.service, cause)
        # To connect may take longer than a client waits, and that is no outage.
        if not by_client or self._state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            self._tell_unreachable()
        return ServiceUnavailable(self.service, f"no connection, and {cause}")

    def _tell_unreachable(self) -> None:
        if not self._unreachable:
            self._unreachable = True
            log.warning("callee.unreachable", callee=self.service, target=self._target)

    def _state(self) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect=True)

    def _log_retry(self, state: RetryCallState) -> None:
        self.retries += 1
        log.info("call.retried", callee=self.service, attempt=state.attempt_number, error=_error_of(state))


def _error_of(state: RetryCallState) -> str:
    return str(state.outcome.exception()) if state.outcome else ""


def _is_unavailable(error: BaseException) -> bool:
    return isinstance(error, UpstreamError) and error.code is grpc.StatusCode.UNAVAILABLE
