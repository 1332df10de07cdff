"""A cache whose bound is memory, because its values are from one byte to megabytes long."""

from cachetools import LRUCache

from fibonacci_service.sequence import Encoding

Key = tuple[int, Encoding]

#: What an entry costs beside its value: key, bytes header and links (sys.getsizeof, CPython 3.11 on 64 bits).
ENTRY_OVERHEAD_BYTES = 300


class ValueCache:
    """The encoded values used last, within a number of bytes. It lives on one event loop and needs no lock."""

    def __init__(self, *, max_bytes: int) -> None:
        self._entries: LRUCache[Key, bytes] = LRUCache(maxsize=max_bytes, getsizeof=_cost)

    def get(self, key: Key) -> bytes | None:
        return self._entries.get(key)

    def put(self, key: Key, value: bytes) -> None:
        """Keeps a value, unless it alone is larger than the cache."""
        if _cost(value) <= self._entries.maxsize:
            self._entries[key] = value

    @property
    def used_bytes(self) -> int:
        return int(self._entries.currsize)

    def __len__(self) -> int:
        return len(self._entries)


def _cost(value: bytes) -> int:
    return len(value) + ENTRY_OVERHEAD_BYTES
