import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci_service.cache import ENTRY_OVERHEAD_BYTES, ValueCache
from fibonacci_service.sequence import Encoding


def key(n: int) -> tuple[int, Encoding]:
    return n, Encoding.DECIMAL


def cache_of(entries: int, value_bytes: int = 100) -> ValueCache:
    """A cache with room for so many values of so many bytes, and not one byte more."""
    return ValueCache(max_bytes=entries * (value_bytes + ENTRY_OVERHEAD_BYTES))


def test_a_kept_value_is_found_under_its_own_encoding() -> None:
    cache = ValueCache(max_bytes=10_000)
    cache.put((10, Encoding.DECIMAL), b"55")
    cache.put((10, Encoding.BIG_ENDIAN), b"7")

    assert cache.get((10, Encoding.DECIMAL)) == b"55"
    assert cache.get((10, Encoding.BIG_ENDIAN)) == b"7"
    assert cache.get((11, Encoding.DECIMAL)) is None


def test_an_entry_costs_its_bytes_and_a_fixed_share() -> None:
    cache = ValueCache(max_bytes=10_000)
    cache.put(key(1), bytes(100))
    cache.put(key(2), bytes(50))

    assert cache.used_bytes == 150 + 2 * ENTRY_OVERHEAD_BYTES
    assert len(cache) == 2


def test_a_value_that_is_put_again_costs_once() -> None:
    cache = ValueCache(max_bytes=10_000)
    cache.put(key(1), bytes(100))
    cache.put(key(1), bytes(100))

    assert (len(cache), cache.used_bytes) == (1, 100 + ENTRY_OVERHEAD_BYTES)


@given(sizes=st.lists(st.integers(0, 3_000), max_size=50), max_bytes=st.integers(0, 10_000))
@settings(deadline=None)
def test_it_never_holds_more_bytes_than_its_bound(sizes: list[int], max_bytes: int) -> None:
    cache = ValueCache(max_bytes=max_bytes)
    for n, size in enumerate(sizes):
        cache.put(key(n), bytes(size))
        assert cache.used_bytes <= max_bytes

        kept = cache.get(key(n))
        assert (kept == bytes(size)) is (size + ENTRY_OVERHEAD_BYTES <= max_bytes)


def test_the_value_used_longest_ago_goes_first() -> None:
    cache = cache_of(3)
    for n in (1, 2, 3):
        cache.put(key(n), bytes(100))
    cache.get(key(1))

    cache.put(key(4), bytes(100))

    assert [n for n in (1, 2, 3, 4) if cache.get(key(n)) is not None] == [1, 3, 4]


def test_a_long_value_pushes_out_as_many_as_it_needs() -> None:
    cache = cache_of(3)
    for n in (1, 2, 3):
        cache.put(key(n), bytes(100))

    cache.put(key(4), bytes(100 + 100 + ENTRY_OVERHEAD_BYTES))

    assert [n for n in (1, 2, 3, 4) if cache.get(key(n)) is not None] == [3, 4]


def test_a_value_larger_than_the_cache_is_not_kept_and_pushes_out_nothing() -> None:
    cache = cache_of(1)
    cache.put(key(1), bytes(100))

    cache.put(key(2), bytes(101))

    assert cache.get(key(2)) is None
    assert cache.get(key(1)) == bytes(100)


@pytest.mark.parametrize("value", [b"", b"55"])
def test_a_cache_of_no_bytes_keeps_nothing(value: bytes) -> None:
    cache = ValueCache(max_bytes=0)
    cache.put(key(1), value)

    assert cache.get(key(1)) is None
    assert (len(cache), cache.used_bytes) == (0, 0)
