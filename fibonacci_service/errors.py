"""What fibonacci_service refuses, and why."""

from fibonacci_service.sequence import INT64_MAX_INDEX
from service_kit.errors import ServiceError


class FibonacciError(ServiceError):
    """A request for a number that is refused."""


class IndexNegative(FibonacciError):
    reason = "INDEX_NEGATIVE"
    field = "n"

    def __init__(self, n: int) -> None:
        super().__init__(f"n must be 0 or more, not {n}")
        self.n = n


class IndexTooLarge(FibonacciError):
    reason = "INDEX_TOO_LARGE"
    field = "n"

    def __init__(self, n: int, limit: int) -> None:
        super().__init__(f"n must be at most {limit}, not {n}")
        self.n = n
        self.limit = limit


class EncodingNeeded(FibonacciError):
    """F(n) does not fit the int64 field that a request without an encoding is answered in."""

    reason = "ENCODING_NEEDED"
    field = "encoding"

    def __init__(self, n: int) -> None:
        super().__init__(
            f"F({n}) does not fit x, which ends at n = {INT64_MAX_INDEX}: "
            "set encoding to DECIMAL or BIG_ENDIAN and read value"
        )
        self.n = n


class EncodingUnknown(FibonacciError):
    reason = "ENCODING_UNKNOWN"
    field = "encoding"

    def __init__(self, number: int) -> None:
        super().__init__(f"encoding must be DECIMAL (1) or BIG_ENDIAN (2), not {number}")
        self.number = number


class WorkersBusy(FibonacciError):
    """Every worker computes, and as many requests as may wait for one do."""

    reason = "WORKERS_BUSY"

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} long computations wait already; try again in a moment")
        self.limit = limit


class WorkerLost(FibonacciError):
    """The process that computed the answer ended before it was done; the request may be tried again."""

    reason = "WORKER_LOST"

    def __init__(self, exit_status: int) -> None:
        super().__init__("the computation was interrupted; try again")
        self.exit_status = exit_status


class BatchTooLarge(FibonacciError):
    """A batch with too many items, or with items whose values are predicted to be too long together."""

    reason = "BATCH_TOO_LARGE"
    field = "items"

    def __init__(self, *, size: int, limit: int, unit: str) -> None:
        super().__init__(f"a batch holds at most {limit} {unit}, not {size}")
        self.size = size
        self.limit = limit
        self.unit = unit
