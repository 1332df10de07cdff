"""What stats_service refuses, and why."""

from service_kit.admission import RETRY_DELAY_SECONDS
from service_kit.errors import ServiceError


class RecordRefused(ServiceError):
    """A record or a batch that breaks the contract; nothing of it is applied."""

    reason = "RECORD_INVALID"

    def __init__(self, field: str, bound: str) -> None:
        super().__init__(f"{field} {bound}")
        self.field = field
        self.bound = bound


class PageSizeOutOfRange(ServiceError):
    reason = "PAGE_SIZE_OUT_OF_RANGE"
    field = "page_size"

    def __init__(self, page_size: int, limit: int) -> None:
        super().__init__(f"page_size must be from 1 to {limit}, not {page_size}")
        self.page_size = page_size
        self.limit = limit


class PageTokenForeign(ServiceError):
    """A page token that this service did not give, or gave for another order."""

    reason = "PAGE_TOKEN_FOREIGN"
    field = "page_token"

    def __init__(self) -> None:
        super().__init__("page_token must be the next_page_token of a page in the same order")


class OrderUnknown(ServiceError):
    reason = "ORDER_UNKNOWN"
    field = "order"

    def __init__(self, order: int) -> None:
        super().__init__(f"order must be BUSIEST (1), LEAST_BUSY (2), N (3) or N_DESCENDING (4), not {order}")
        self.order = order


class IndexNegative(ServiceError):
    reason = "INDEX_NEGATIVE"
    field = "n"

    def __init__(self, n: int) -> None:
        super().__init__(f"n must be 0 or more, not {n}")
        self.n = n


class NumberUnknown(ServiceError):
    """A number that was never asked for, or has no row of its own any more."""

    reason = "NUMBER_UNKNOWN"

    def __init__(self, n: int) -> None:
        super().__init__(f"nothing is known of n = {n}")
        self.n = n


class IntervalOutOfRange(ServiceError):
    reason = "INTERVAL_OUT_OF_RANGE"
    field = "interval"

    def __init__(self, seconds: float, least: float, most: float) -> None:
        super().__init__(f"interval must be from {least:g} s to {most:g} s, not {seconds:g} s")
        self.seconds = seconds


class TooManyWatchers(ServiceError):
    reason = "TOO_MANY_WATCHERS"
    retry_delay_seconds = RETRY_DELAY_SECONDS

    def __init__(self, limit: int) -> None:
        super().__init__(f"{limit} clients watch already; try again later")
        self.limit = limit


class StoreUnavailable(ServiceError):
    """The database cannot be read or written now; the text of its error stays in the log."""

    reason = "STORE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("the account cannot be reached now; try again later")
