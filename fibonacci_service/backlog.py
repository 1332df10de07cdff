"""The predicted time of the work before the worker processes, by which more of it is admitted or refused."""

import contextlib
import time
from collections.abc import Iterator

from fibonacci_service.errors import WorkersBusy
from service_kit.refusals import RefusalLog

#: Of what was learned from the tasks before, so much stays with each that ends.
_KEPT = 0.95
#: A task that took longer than this many times its prediction tells of a machine that slept, not of its speed.
_MAX_PACE = 10.0


class _Task:
    """A task at work. Its prediction stands as it was made."""

    __slots__ = ("ends_at",)

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at


class Backlog:
    """Adds up predictions for the machine of `price.py`, and learns from what ends how long they take on this one.

    A further task may wait while what waits is predicted to be begun within `max_seconds`.
    """

    def __init__(self, *, size: int, max_seconds: float) -> None:
        self._size = size
        self._max_seconds = max_seconds
        self._waiting_ns = 0  # whole numbers: what is added and taken away again leaves nothing behind
        self._waiting = 0
        self._at_work: set[_Task] = set()
        # As if one task of a second had been exactly as quick as predicted: a few short ones change little.
        self._predicted_seconds = self._taken_seconds = 1.0
        self.refusals = RefusalLog("overload.refused", refused="long_computations")

    def check(self) -> None:
        """Raises WorkersBusy where no further task may wait."""
        if self._queue_seconds >= self._max_seconds:
            raise self.refusal()

    def refusal(self) -> WorkersBusy:
        """What a task is told that may not wait; it is counted and logged."""
        self.refusals.count()
        return WorkersBusy(self.wait_seconds)

    @property
    def empty(self) -> bool:
        """Whether nothing waits and nothing is at work."""
        return not self._waiting and not self._at_work

    @property
    def tasks(self) -> dict[str, float]:
        """How many are where."""
        return {"waiting": self._waiting, "at_work": len(self._at_work)}

    @property
    def wait_seconds(self) -> float:
        """How long a further task is predicted to wait."""
        now = time.monotonic()
        left = sum(max(0.0, task.ends_at - now) for task in self._at_work)
        return self._queue_seconds + left / self._size

    @contextlib.contextmanager
    def waiting(self, seconds: float) -> Iterator[None]:
        waiting_ns = round(seconds * 1e9)
        self._waiting += 1
        self._waiting_ns += waiting_ns
        try:
            yield
        finally:
            self._waiting -= 1
            self._waiting_ns -= waiting_ns

    @contextlib.contextmanager
    def at_work(self, seconds: float) -> Iterator[None]:
        task = _Task(time.monotonic() + seconds * self._pace)
        self._at_work.add(task)
        try:
            yield
        finally:
            self._at_work.remove(task)

    def learn(self, predicted_seconds: float, taken_seconds: float) -> None:
        """What a task took that is done."""
        taken_seconds = min(taken_seconds, _MAX_PACE * predicted_seconds)
        self._predicted_seconds = _KEPT * self._predicted_seconds + predicted_seconds
        self._taken_seconds = _KEPT * self._taken_seconds + taken_seconds

    @property
    def _queue_seconds(self) -> float:
        """How long all workers together take for what waits."""
        return self._waiting_ns / 1e9 * self._pace / self._size

    @property
    def _pace(self) -> float:
        return self._taken_seconds / self._predicted_seconds
