"""What fibonacci_service refuses, and why."""

from fibonacci_service.sequence import INT64_MAX_INDEX
from service_kit.errors import ServiceError

#: How much of a text that is refused an error repeats.
MAX_EXCERPT = 40


class FibonacciError(ServiceError):
    """A request for a number that is refused."""


class IndexNegative(FibonacciError):
    reason = "INDEX_NEGATIVE"

    def __init__(self, n: int, *, field: str = "n") -> None:
        super().__init__(f"{field} must be 0 or more, not {n}")
        self.field = field
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


class CountTooSmall(FibonacciError):
    reason = "COUNT_TOO_SMALL"
    field = "count"

    def __init__(self, count: int) -> None:
        super().__init__(f"count must be 1 or more, not {count}")
        self.count = count


class RangeTooHigh(FibonacciError):
    """A range that ends above the largest index of a range. Its start is at fault where that is above it already."""

    reason = "RANGE_TOO_HIGH"

    def __init__(self, end: int, limit: int, *, field: str = "count") -> None:
        super().__init__(f"a range must end at n = {limit} at most, not at {end}")
        self.field = field
        self.end = end
        self.limit = limit


class SliceOutOfRange(FibonacciError):
    """A slice of an encoding that starts behind its end, or has a negative bound."""

    reason = "SLICE_OUT_OF_RANGE"

    def __init__(self, field: str, value: int, total: int) -> None:
        super().__init__(f"{field} must be from 0 to {total}, not {value}")
        self.field = field
        self.value = value
        self.total = total


class WorkersBusy(FibonacciError):
    """Every worker computes, and what waits for one is predicted to take as long as may be."""

    reason = "WORKERS_BUSY"

    def __init__(self, wait_seconds: float) -> None:
        self.wait_seconds = round(wait_seconds, 1)
        super().__init__(f"every worker is busy, for some {self.wait_seconds} s with what waits; try again then")
        self.retry_delay_seconds = wait_seconds


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


class ColumnsDiffer(FibonacciError):
    """A batch in columns that are not of one length."""

    reason = "COLUMNS_DIFFER"

    def __init__(self, field: str, size: int, items: int) -> None:
        super().__init__(f"{field} must have as many elements as n, {items}, not {size}")
        self.field = field
        self.size = size
        self.items = items


class NumeralMalformed(FibonacciError):
    """A number that came as text, and is not plain ASCII digits without a sign or leading zeros."""

    reason = "NUMERAL_MALFORMED"

    def __init__(self, field: str, text: str) -> None:
        self.field = field
        self.excerpt = _excerpt(text)
        super().__init__(f"{field} must be decimal digits without a sign or leading zeros, not '{self.excerpt}'")


class NumeralTooLong(FibonacciError):
    """A number that came as text of more characters than are read."""

    reason = "NUMERAL_TOO_LONG"

    def __init__(self, field: str, length: int, limit: int) -> None:
        super().__init__(f"{field} must have at most {limit} digits, not {length}")
        self.field = field
        self.length = length
        self.limit = limit


class NumeralTooSmall(FibonacciError):
    """A number that came as text, and is below the least that is allowed."""

    reason = "NUMERAL_TOO_SMALL"

    def __init__(self, field: str, number: int, least: int) -> None:
        super().__init__(f"{field} must be {least} or more, not {number}")
        self.field = field
        self.number = number
        self.least = least


def _excerpt(text: str) -> str:
    """The beginning of what a caller sent, in at most 40 printable ASCII characters."""
    shown = ascii(text[: MAX_EXCERPT + 1])[1:-1]
    return shown if len(shown) <= MAX_EXCERPT else f"{shown[: MAX_EXCERPT - 3]}..."
