import hashlib

import pytest

from fibonacci_service.errors import SliceOutOfRange
from fibonacci_service.sequence import Encoding, encode, fibonacci
from fibonacci_service.values import EncodedValue, encoded_value

TEN_BYTES = EncodedValue(bytes(10), b"digest")


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("n", [0, 93, 150_000])
def test_a_value_computed_here_comes_with_its_digest(n: int, encoding: Encoding) -> None:
    data = encode(fibonacci(n), encoding)

    assert encoded_value(n, encoding) == EncodedValue(data, hashlib.sha256(data).digest())


@pytest.mark.parametrize(
    ("offset", "length", "bounds"), [(0, 0, (0, 10)), (3, 4, (3, 7)), (3, 0, (3, 10)), (9, 1, (9, 10)), (9, 5, (9, 10))]
)
def test_a_slice_ends_with_the_value_or_before(offset: int, length: int, bounds: tuple[int, int]) -> None:
    assert TEN_BYTES.slice_bounds(offset, length) == bounds


@pytest.mark.parametrize(("offset", "length", "field"), [(-1, 0, "offset"), (10, 0, "offset"), (0, -1, "length")])
def test_a_slice_that_is_outside_the_value_is_refused(offset: int, length: int, field: str) -> None:
    with pytest.raises(SliceOutOfRange) as caught:
        TEN_BYTES.slice_bounds(offset, length)

    assert caught.value.field == field
