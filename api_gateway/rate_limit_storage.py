"""Where the requests of each client are counted."""

import time
from dataclasses import dataclass
from math import floor

from cachetools import TTLCache
from limits.aio.storage import MemoryStorage


@dataclass(slots=True)
class _Count:
    """The requests of one client in the window of that number and in the one before."""

    window: int
    previous: int
    current: int


#: A client takes about 500 bytes for each rate, an IPv6 one a little more than an IPv4 one.
MAX_CLIENTS = 50_000


class BoundedMemoryStorage(MemoryStorage):
    """Counts by sliding windows, for each rate the `max_clients` that asked last; a silent client is forgotten.

    MemoryStorage has no bound, and after a request it looks through every counter that it has.
    """

    def __init__(self, *, max_clients: int = MAX_CLIENTS) -> None:
        super().__init__()
        self._max_clients = max_clients
        self._counts: dict[int, TTLCache[str, _Count]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._counts.values()))

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = time.time()
        count = self._count(key, expiry, now)
        if floor(count.previous * _left(expiry, now) / expiry + count.current) + amount > limit:
            return False
        count.current += amount
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        now = time.time()
        count, left = self._count(key, expiry, now), _left(expiry, now)
        return count.previous, left, count.current, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:
        self._counts_of(expiry).pop(key, None)

    def _count(self, key: str, expiry: int, now: float) -> _Count:
        counts, window = self._counts_of(expiry), int(now // expiry)
        try:
            count = counts[key]
        except KeyError:
            count = counts[key] = _Count(window, 0, 0)
        if count.window != window:
            count = counts[key] = _Count(window, count.current if count.window == window - 1 else 0, 0)
        return count

    def _counts_of(self, expiry: int) -> TTLCache[str, _Count]:
        counts = self._counts.get(expiry)
        if counts is None:  # what was counted is of no use after the window that follows
            counts = self._counts[expiry] = TTLCache(self._max_clients, 2 * expiry, timer=time.time)
        return counts


def _left(expiry: int, now: float) -> float:
    """The seconds that are left of a window."""
    return expiry - now % expiry
