"""The log lines of the items of a batch."""

from collections.abc import Iterable, Sequence

import structlog

from fibonacci_service.errors import FibonacciError, WorkerLost
from fibonacci_service.observations import Computation
from service_kit.logs import RequestLog
from service_kit.request_id import accept_request_id, current_request_id

log = structlog.get_logger()


class ItemLog:
    """One line an item, for each may have a request id of its own. A refusal is its caller's fault and no failure."""

    def __init__(self, *, request_log: RequestLog) -> None:
        self._request_log = request_log

    def log(
        self, indices: Iterable[int], request_ids: Iterable[str], outcomes: Sequence[Computation | FibonacciError]
    ) -> None:
        # By default no item of a batch has a line, and looking at each would cost as much as computing it.
        if self._request_log.passes_over_quick and not any(map(_has_line, outcomes)):
            return
        of_the_call = current_request_id.get()
        for n, request_id, outcome in zip(indices, request_ids, outcomes, strict=True):
            self._log_item(n, accept_request_id(request_id or of_the_call), outcome)

    def _log_item(self, n: int, request_id: str, outcome: Computation | FibonacciError) -> None:
        facts: dict[str, object]
        match outcome:
            case Computation():
                seconds = outcome.duration_ns / 1e9
                facts = {"duration_ms": round(seconds * 1000, 3), "cached": outcome.cached}
            case FibonacciError():  # who asked waited for the batch, and how long the item took is not kept
                seconds, facts = 0.0, {"error": str(outcome)}
        if self._request_log.wants(request_id=request_id, failed=False, seconds=seconds, dear=_has_line(outcome)):
            log.info("item.served", request_id=request_id, n=n, **facts)


def _has_line(outcome: Computation | FibonacciError) -> bool:
    """Under every policy: what was dear, and what lost its worker."""
    return outcome.dear if isinstance(outcome, Computation) else isinstance(outcome, WorkerLost)
