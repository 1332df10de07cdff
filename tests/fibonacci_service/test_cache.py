import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci_service.cache import ENTRY_OVERHEAD_BYTES, SMALL_SHARE, SMALL_VALUE_BYTES, MemoryCache
from fibonacci_service.sequence import Encoding
from fibonacci_service.values import EncodedValue

#: The shortest value that counts as large.
LARGE_BYTES = SMALL_VALUE_BYTES + 1


def key(n: int) -> tuple[int, Encoding]:
    return n, Encoding.DECIMAL


def value(size: int) -> EncodedValue:
    return EncodedValue(bytes(size), b"digest")


def cache_of(entries: int, value_bytes: int = 100) -> MemoryCache:
    """A cache with room for so many small values of so many bytes, and not one byte more."""
    return MemoryCache(max_bytes=int(entries * (value_bytes + ENTRY_OVERHEAD_BYTES) / SMALL_SHARE))


def cache_of_large(entries: int) -> MemoryCache:
    """A cache with room for so many of the shortest large values."""
    return MemoryCache(max_bytes=-int(-entries * (LARGE_BYTES + ENTRY_OVERHEAD_BYTES) / (1 - SMALL_SHARE)) + 1)


def kept(cache: MemoryCache, *indices: int) -> list[int]:
    return [n for n in indices if cache.get(key(n)) is not None]


def test_a_kept_value_is_found_under_its_own_encoding() -> None:
    cache = MemoryCache(max_bytes=10_000)
    decimal, binary = EncodedValue(b"55", b"of 55"), EncodedValue(b"7", b"of 7")
    cache.put((10, Encoding.DECIMAL), decimal)
    cache.put((10, Encoding.BIG_ENDIAN), binary)

    assert cache.get((10, Encoding.DECIMAL)) is decimal
    assert cache.get((10, Encoding.BIG_ENDIAN)) is binary
    assert cache.get((11, Encoding.DECIMAL)) is None


def test_an_entry_costs_its_bytes_and_a_fixed_share() -> None:
    cache = MemoryCache(max_bytes=1 << 20)
    cache.put(key(1), value(100))
    cache.put(key(2), value(LARGE_BYTES))

    assert cache.used_bytes == 100 + LARGE_BYTES + 2 * ENTRY_OVERHEAD_BYTES
    assert len(cache) == 2


@pytest.mark.parametrize("size", [100, LARGE_BYTES])
def test_a_value_that_is_put_again_costs_once(size: int) -> None:
    cache = MemoryCache(max_bytes=1 << 20)
    cache.put(key(1), value(size))
    cache.put(key(1), value(size))

    assert (len(cache), cache.used_bytes) == (1, size + ENTRY_OVERHEAD_BYTES)


@given(
    sizes=st.lists(st.integers(0, 3_000) | st.integers(SMALL_VALUE_BYTES - 5, 100_000), max_size=50),
    max_bytes=st.integers(0, 300_000),
)
@settings(deadline=None)
def test_it_never_holds_more_bytes_than_its_bound_and_keeps_what_fits_its_share(
    sizes: list[int], max_bytes: int
) -> None:
    cache = MemoryCache(max_bytes=max_bytes)
    small_bytes = int(max_bytes * SMALL_SHARE)
    for n, size in enumerate(sizes):
        cache.put(key(n), value(size))
        assert cache.used_bytes <= max_bytes

        share = small_bytes if size <= SMALL_VALUE_BYTES else max_bytes - small_bytes
        assert (cache.get(key(n)) is not None) is (size + ENTRY_OVERHEAD_BYTES <= share)


def test_the_value_used_longest_ago_goes_first() -> None:
    cache = cache_of(3)
    for n in (1, 2, 3):
        cache.put(key(n), value(100))
    cache.get(key(1))

    cache.put(key(4), value(100))

    assert kept(cache, 1, 2, 3, 4) == [1, 3, 4]


def test_a_long_value_pushes_out_as_many_as_it_needs() -> None:
    cache = cache_of(3)
    for n in (1, 2, 3):
        cache.put(key(n), value(100))

    cache.put(key(4), value(100 + 100 + ENTRY_OVERHEAD_BYTES))

    assert kept(cache, 1, 2, 3, 4) == [3, 4]


@pytest.mark.parametrize("cache", [cache_of(1), cache_of_large(1)], ids=["small", "large"])
def test_a_value_larger_than_its_share_is_not_kept_and_pushes_out_nothing(cache: MemoryCache) -> None:
    small = value(100)
    cache.put(key(1), small)

    cache.put(key(2), value(1 << 20))

    assert cache.get(key(2)) is None
    assert cache.get(key(1)) is small


def test_large_values_do_not_push_out_small_ones() -> None:
    cache = MemoryCache(max_bytes=1 << 20)
    for n in range(100):
        cache.put(key(n), value(100))
    for n in range(1_000, 1_020):
        cache.put(key(n), value(500_000))

    assert len(kept(cache, *range(100))) == 100
    assert kept(cache, *range(1_000, 1_020)) == [1_019]


def test_small_values_do_not_push_out_large_ones() -> None:
    cache = cache_of_large(1)
    cache.put(key(0), value(LARGE_BYTES))
    for n in range(1, 1_000):
        cache.put(key(n), value(SMALL_VALUE_BYTES // 16))

    assert kept(cache, 0) == [0]
    assert len(cache) < 1_000


@pytest.mark.parametrize("size", [0, 2, LARGE_BYTES])
def test_a_cache_of_no_bytes_keeps_nothing(size: int) -> None:
    cache = MemoryCache(max_bytes=0)
    cache.put(key(1), value(size))

    assert cache.get(key(1)) is None
    assert (len(cache), cache.used_bytes) == (0, 0)
