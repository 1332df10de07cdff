"""What a service tells of the requests that it refuses."""

import time
from typing import Any

import structlog

log = structlog.get_logger()

#: A line in the log for each refusal would add to what there is too much of already.
LOG_INTERVAL_SECONDS = 1.0


class RefusalLog:
    """Counts the refusals of one kind, named by `facts`, and tells how many there were, once a second at most."""

    def __init__(self, event: str, **facts: Any) -> None:
        self._event = event
        self.facts = facts
        self._silent_until = 0.0
        self.total = 0

    def count(self, **facts: Any) -> None:
        """`facts` are of this one refusal."""
        self.total += 1
        now = time.monotonic()
        if now >= self._silent_until:
            self._silent_until = now + LOG_INTERVAL_SECONDS
            log.warning(self._event, **self.facts, **facts, total=self.total)
