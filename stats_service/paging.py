"""Which numbers, in which order, a page at a time. Pure."""

import base64
import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

from stats_service.errors import IndexNegative, OrderUnknown, PageSizeOutOfRange, PageTokenForeign

MAX_PAGE_SIZE = 1_000
DEFAULT_PAGE_SIZE = 100

#: Order, count and n. Behind them a token has a checksum: what is not ours is refused instead of giving a page from
#: anywhere.
_PLACE = struct.Struct(">Bqi")


class Order(IntEnum):
    """By the numbers of stats.Order."""

    BUSIEST = 1
    LEAST_BUSY = 2
    N = 3
    N_DESCENDING = 4

    @property
    def by_count(self) -> bool:
        """By count, and by n among equals; otherwise by n alone."""
        return self in (Order.BUSIEST, Order.LEAST_BUSY)

    @property
    def count_falls(self) -> bool:
        return self is Order.BUSIEST

    @property
    def n_falls(self) -> bool:
        return self in (Order.LEAST_BUSY, Order.N_DESCENDING)

    def key(self, count: int, n: int) -> tuple[int, int]:
        """What rises along this order."""
        by_count = (-count if self.count_falls else count) if self.by_count else 0
        return by_count, -n if self.n_falls else n


@dataclass(frozen=True, slots=True)
class Place:
    """The last number of a page, as busy as it was then."""

    count: int
    n: int


@dataclass(frozen=True, slots=True)
class PageRequest:
    size: int = DEFAULT_PAGE_SIZE
    order: Order = Order.BUSIEST
    after: Place | None = None


def page_request(*, page_size: int, order: int, page_token: str) -> PageRequest:
    """What was asked for; 0 and the empty token mean the default.

    Raises PageSizeOutOfRange, OrderUnknown or PageTokenForeign.
    """
    if not 0 <= page_size <= MAX_PAGE_SIZE:
        raise PageSizeOutOfRange(page_size, MAX_PAGE_SIZE)
    if not 0 <= order <= max(Order):
        raise OrderUnknown(order)
    known = Order(order or Order.BUSIEST)
    return PageRequest(page_size or DEFAULT_PAGE_SIZE, known, _place(page_token, known) if page_token else None)


def index_of(n: int) -> int:
    """The index of one number. Raises IndexNegative."""
    if n < 0:
        raise IndexNegative(n)
    return n


def page_token(order: Order, place: Place) -> str:
    """Opaque, and safe in a URL."""
    packed = _PLACE.pack(order, place.count, place.n)
    return base64.urlsafe_b64encode(packed + zlib.crc32(packed).to_bytes(4)).rstrip(b"=").decode()


def _place(token: str, order: Order) -> Place:
    try:
        _, count, n = _PLACE.unpack_from(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    except (ValueError, struct.error):
        raise PageTokenForeign from None
    place = Place(count, n)
    if page_token(order, place) != token:  # another order, another checksum, or another spelling
        raise PageTokenForeign
    return place
