"""Refuses at once what would fail after a wait, while a service does not answer (ADR 13)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from api_gateway.errors import DeadlineExceeded, ServiceUnavailable

log = structlog.get_logger()

#: Calls in a row that failed for want of an answer.
FAILURES_TO_OPEN = 5
#: A service that is back is asked after so long at the latest. Retry-After says no less.
OPEN_SECONDS = 1.0


class CircuitBreaker:
    """Closed it lets every call through. Open it refuses; after OPEN_SECONDS it is half-open, and lets one call try.

    An answer of any kind closes it, an error too: the service is there. What ends otherwise, such as a client that goes
    away, says nothing.
    """

    def __init__(self, *, service: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._service = service
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False
        self.refused = 0

    @property
    def is_open(self) -> bool:
        """Half-open too."""
        return self._opened_at is not None

    @contextmanager
    def call(self, *, telling: bool = True) -> Iterator[None]:
        """Around one call. Raises ServiceUnavailable where none may be made.

        `telling` is False for a call of which no answer says nothing, for it was not given the usual time.
        """
        trial = self._opened_at is not None
        if self._opened_at is not None:
            self._begin_trial(self._opened_at)
        try:
            yield
        except (DeadlineExceeded, ServiceUnavailable):
            if telling:
                self._count_failure()
            raise
        except Exception:
            self._close()
            raise
        else:
            self._close()
        finally:
            if trial:
                self._trying = False

    def _begin_trial(self, opened_at: float) -> None:
        if self._trying or self._clock() < opened_at + OPEN_SECONDS:
            self.refused += 1
            raise ServiceUnavailable(self._service, f"the last {self._failures} calls got no answer")
        self._trying = True

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            if self._opened_at is None:
                log.warning("circuit.opened", callee=self._service, failures=self._failures)
            self._opened_at = self._clock()

    def _close(self) -> None:
        if self._opened_at is not None:
            log.info("circuit.closed", callee=self._service)
        self._failures, self._opened_at = 0, None
