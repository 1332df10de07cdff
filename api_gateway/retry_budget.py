"""How many retries a service can take: a part of the calls that it gets, so that its failure is not multiplied."""

import time
from collections.abc import Callable

#: Retries for each call, over time. With a fifth, a service that fails every attempt gets 1.2 times its load and not 5.
RETRIES_PER_CALL = 0.2
#: So that a gateway with few calls can retry too.
RETRIES_PER_SECOND = 10.0
#: What can be saved for the moment in which a server stops and all that was on its way to it comes back.
MAX_SAVED = 200.0


class RetryBudget:
    """A token bucket, full at first. A call adds to it when it begins, a retry takes one out.

    Only attempts that reached a server are ever retried, so one that is down uses nothing up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._saved = MAX_SAVED
        self._calls = 0
        self._counted_at = clock()

    def add_call(self) -> None:
        self._calls += 1

    def take(self) -> bool:
        """Whether a retry may be made; then it is counted."""
        now = self._clock()
        earned = self._calls * RETRIES_PER_CALL + (now - self._counted_at) * RETRIES_PER_SECOND
        self._saved = min(MAX_SAVED, self._saved + earned)
        self._calls, self._counted_at = 0, now
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
