"""How many calls a service works on at a time, how many wait for their turn, and what becomes of the rest."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar

from service_kit.errors import ServiceError
from service_kit.refusals import RefusalLog

#: When to come again: a queue that was full has been worked off by then, if no more than its server can do comes in.
RETRY_DELAY_SECONDS = 1.0

_place: ContextVar["Place | None"] = ContextVar("place", default=None)


class Overloaded(ServiceError):
    """As many calls wait, or last, as may; nothing of this one was done."""

    reason = "OVERLOADED"
    retry_delay_seconds = RETRY_DELAY_SECONDS

    def __init__(self, limit: int, *, doing: str) -> None:
        super().__init__(f"no more than {limit} calls may {doing} at a time; try again in a moment")
        self.limit = limit


class Admission:
    """The places of a service. It runs on one event loop and needs no lock.

    `max_calls` are worked on, `max_queued` wait in the order they came. Beside them `max_lasting` wait for something
    that has a bound of its own; None where that is bound enough.
    """

    def __init__(self, *, max_calls: int, max_queued: int, max_lasting: int | None = None) -> None:
        self._max_calls = max_calls
        self._free = max_calls
        self._max_queued = max_queued
        self._max_lasting = max_lasting
        self._queue: deque[asyncio.Future[None]] = deque()
        self._lasting = 0
        self.refused_calls = RefusalLog("overload.refused", refused="calls")
        self.refused_lasting = RefusalLog("overload.refused", refused="lasting_calls")

    @property
    def calls(self) -> dict[str, float]:
        """How many are where."""
        return {"at_work": self._max_calls - self._free, "waiting": len(self._queue), "lasting": self._lasting}

    @contextlib.contextmanager
    def lasting(self) -> Iterator[None]:
        """Counts a call that lasts, such as a stream. Raises Overloaded."""
        if not self.begin_lasting():
            raise Overloaded(self._max_lasting or 0, doing="last")
        try:
            yield
        finally:
            self.end_lasting()

    def place_now(self) -> "Place | None":
        """A place, for a `with`, where one is free. That is so only while nobody waits, so nobody is overtaken."""
        if self._free <= 0:
            return None
        self._free -= 1
        return Place(self)

    async def place_in_turn(self) -> "Place":
        """Waits for a place; who is cancelled meanwhile, as at its deadline, leaves the queue. Raises Overloaded."""
        if len(self._queue) >= self._max_queued:
            self.refused_calls.count()
            raise Overloaded(self._max_queued, doing="wait")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn came at the same moment
                self.give_back()
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        return Place(self)

    def give_back(self) -> None:
        """Hands a place to whoever has waited longest."""
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def begin_lasting(self) -> bool:
        """Whether one more may last; then it counts until `end_lasting`."""
        if self._max_lasting is not None and self._lasting >= self._max_lasting:
            self.refused_lasting.count()
            return False
        self._lasting += 1
        return True

    def end_lasting(self) -> None:
        self._lasting -= 1


class Place:
    """What one call holds: a place among those that are worked on, and once it stepped aside one among the lasting."""

    __slots__ = ("_admission", "_aside", "_left")

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._aside = self._left = False

    def __enter__(self) -> None:
        _place.set(self)

    def __exit__(self, *_error: object) -> None:
        self._left = True
        if self._aside:
            self._admission.end_lasting()
        else:
            self._admission.give_back()

    def step_aside(self) -> bool:
        if self._left:  # of work that outlives its call
            return True
        if not self._aside and self._admission.begin_lasting():
            self._aside = True
            self._admission.give_back()
        return self._aside


def step_aside() -> bool:
    """Gives the place of the call that is being answered to the next, for it goes on to wait for a worker or the like.

    From here on it counts among those that last. False where there are as many of them as may be; it keeps its place.
    """
    place = _place.get()
    return place is None or place.step_aside()
