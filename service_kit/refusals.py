"""What a service tells of the requests that it refuses."""

import asyncio
import contextvars
from collections.abc import Mapping
from typing import Any

import structlog

log = structlog.get_logger()

#: A line in the log for each refusal would add to what there is too much of already.
LOG_INTERVAL_SECONDS = 1.0


class RefusalLog:
    """Counts the refusals of one kind, named by `facts`, and tells how many there were: at once, then once a second."""

    def __init__(self, event: str, **facts: Any) -> None:
        self._event = event
        self.facts = facts
        self.total = 0
        self._timer: asyncio.TimerHandle | None = None
        #: The first refusal that has no line yet: what is known of it, and its request.
        self._untold: tuple[Mapping[str, Any], contextvars.Context] | None = None

    def count(self, **facts: Any) -> None:
        """`facts` are of this one refusal."""
        self.total += 1
        if self._timer is None:
            self._tell(facts)
        elif self._untold is None:
            self._untold = facts, contextvars.copy_context()

    def _tell(self, facts: Mapping[str, Any]) -> None:
        log.warning(self._event, **self.facts, **facts, total=self.total)
        self._timer = asyncio.get_running_loop().call_later(LOG_INTERVAL_SECONDS, self._tell_rest)

    def _tell_rest(self) -> None:
        self._timer = None
        if self._untold is not None:
            (facts, context), self._untold = self._untold, None
            context.run(self._tell, facts)
