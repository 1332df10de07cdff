"""A cache whose bound is memory, because its values are from one byte to megabytes long."""

from typing import Protocol

from cachetools import LRUCache

from fibonacci_service.sequence import Encoding
from fibonacci_service.values import EncodedValue

Key = tuple[int, Encoding]

#: What an entry costs beside its value: the key, the objects' headers and the links between them.
ENTRY_OVERHEAD_BYTES = 520
#: The longest value that counts as small.
SMALL_VALUE_BYTES = 16 << 10
#: The share of the memory that only small values may use.
SMALL_SHARE = 0.25


class ValueCache(Protocol):
    """Where values are kept. A second level that replicas share would be another of these."""

    def get(self, key: Key) -> EncodedValue | None: ...

    def put(self, key: Key, value: EncodedValue) -> None: ...


class _Share(LRUCache[Key, EncodedValue]):
    """Counts what it pushes out."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(max_bytes, getsizeof=_cost)
        self.evictions = 0

    def popitem(self) -> tuple[Key, EncodedValue]:
        self.evictions += 1
        return super().popitem()


class MemoryCache:
    """The values used last, within a number of bytes. It lives on one event loop and needs no lock.

    Small and large values have a share each and push out only their own kind: without that, one
    F(10,000,000) takes the place of ten thousand small numbers. A value larger than its share is not kept.
    """

    def __init__(self, *, max_bytes: int) -> None:
        small_bytes = int(max_bytes * SMALL_SHARE)
        self._small = _Share(small_bytes)
        self._large = _Share(max_bytes - small_bytes)

    def get(self, key: Key) -> EncodedValue | None:
        return self._small.get(key) or self._large.get(key)

    def put(self, key: Key, value: EncodedValue) -> None:
        share = self._small if len(value.data) <= SMALL_VALUE_BYTES else self._large
        if _cost(value) <= share.maxsize:
            share[key] = value

    @property
    def used_bytes(self) -> int:
        return int(self._small.currsize + self._large.currsize)

    @property
    def evictions(self) -> int:
        return self._small.evictions + self._large.evictions

    def __len__(self) -> int:
        return len(self._small) + len(self._large)


def _cost(value: EncodedValue) -> int:
    return len(value.data) + ENTRY_OVERHEAD_BYTES
