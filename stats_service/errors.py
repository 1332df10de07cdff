"""What stats_service refuses, and why."""

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
