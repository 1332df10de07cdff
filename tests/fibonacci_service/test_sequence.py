import itertools
import math
import sys
from collections.abc import Iterator
from decimal import Decimal, localcontext
from typing import assert_never

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci_service.sequence import (
    INT64_MAX_INDEX,
    SMALL,
    Encoding,
    decimal_terms,
    encode,
    fibonacci,
    predicted_bytes,
)
from tests.fibonacci_service.doubling import number_modulo

#: https://oeis.org/A000045, the numbers in its data section.
A000045 = (
    *(0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10946, 17711),
    *(28657, 46368, 75025, 121393, 196418, 317811, 514229, 832040, 1346269, 2178309, 3524578, 5702887, 9227465),
    *(14930352, 24157817, 39088169, 63245986, 102334155),
)
INT64_MAX = 2**63 - 1

indices = st.integers(0, 5_000)


def numbers() -> Iterator[int]:
    """F(0), F(1), ... by the definition: the oracle, in plain integers."""
    this, following = 0, 1
    while True:
        yield this
        this, following = following, this + following


def number(n: int) -> int:
    return next(itertools.islice(numbers(), n, None))


def decimal(value: int) -> bytes:
    """The digits in pieces that `str` takes under its default limit."""
    if value < 10**4000:
        return b"%d" % value
    high, low = divmod(value, 10**4000)
    return decimal(high) + str(low).zfill(4000).encode()


def written(value: int, encoding: Encoding) -> bytes:
    """The oracle of both encodings."""
    match encoding:
        case Encoding.DECIMAL:
            return decimal(value)
        case Encoding.BIG_ENDIAN:
            digits = f"{value:x}"
            return bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2))
        case _:
            assert_never(encoding)


def test_the_first_numbers_are_those_of_oeis() -> None:
    assert tuple(fibonacci(n) for n in range(len(A000045))) == A000045


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (92, 7540113804746346429),
        (93, 12200160415121876738),
        (100, 354224848179261915075),
        (200, 280571172992510140037611932413038677189525),
    ],
)
def test_larger_numbers_are_the_published_ones(n: int, expected: int) -> None:
    assert fibonacci(n) == expected


def test_the_small_numbers_are_all_that_fit_int64() -> None:
    assert list(SMALL) == list(itertools.takewhile(lambda value: value <= INT64_MAX, numbers()))
    assert len(SMALL) == INT64_MAX_INDEX + 1


@given(m=indices, n=indices)
@settings(deadline=None)
def test_addition_holds(m: int, n: int) -> None:
    assert fibonacci(m + n + 1) == fibonacci(m + 1) * fibonacci(n + 1) + fibonacci(m) * fibonacci(n)


@given(n=indices)
@settings(deadline=None)
def test_doubling_holds(n: int) -> None:
    assert fibonacci(2 * n) == fibonacci(n) * (2 * fibonacci(n + 1) - fibonacci(n))


@given(n=st.integers(1, 100_000))
@settings(deadline=None)
def test_cassini_holds(n: int) -> None:
    assert fibonacci(n - 1) * fibonacci(n + 1) - fibonacci(n) ** 2 == (-1) ** n


@given(m=indices, n=indices)
@settings(deadline=None)
def test_the_gcd_of_two_numbers_is_the_number_of_the_gcd(m: int, n: int) -> None:
    assert math.gcd(int(fibonacci(m)), int(fibonacci(n))) == fibonacci(math.gcd(m, n))


@pytest.mark.parametrize("encoding", Encoding)
def test_every_encoding_writes_what_plain_integers_say(encoding: Encoding) -> None:
    for n, value in enumerate(itertools.islice(numbers(), 2_000)):
        assert encode(fibonacci(n), encoding) == written(value, encoding), n


@pytest.mark.parametrize(("encoding", "zero"), [(Encoding.DECIMAL, b"0"), (Encoding.BIG_ENDIAN, b"\0")])
def test_zero_is_one_byte(encoding: Encoding, zero: bytes) -> None:
    assert encode(fibonacci(0), encoding) == zero


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(("n", "digits"), [(20_577, 4_300), (20_578, 4_301), (100_000, 20_899)])
def test_the_digit_limit_of_the_process_bounds_nothing_and_stays(n: int, digits: int, encoding: Encoding) -> None:
    value = number(n)

    assert encode(fibonacci(n), encoding) == written(value, encoding)

    assert len(encode(fibonacci(n), Encoding.DECIMAL)) == digits
    assert sys.get_int_max_str_digits() == sys.int_info.default_max_str_digits == 4_300


@pytest.mark.parametrize("encoding", Encoding)
def test_the_predicted_length_is_exact_or_one_more(encoding: Encoding) -> None:
    excess = {predicted_bytes(n, encoding) - len(encode(fibonacci(n), encoding)) for n in range(3_000)}

    assert excess == {0, 1}


@given(n=st.integers(0, 1_000_000), encoding=st.sampled_from(Encoding))
@settings(deadline=None, max_examples=40)
def test_the_predicted_length_holds_for_large_numbers(n: int, encoding: Encoding) -> None:
    assert predicted_bytes(n, encoding) - len(encode(fibonacci(n), encoding)) in (0, 1)


@given(start=st.integers(0, 3_000), count=st.integers(1, 60))
@settings(deadline=None)
def test_terms_are_the_numbers_of_the_definition(start: int, count: int) -> None:
    expected = [decimal(value) for value in itertools.islice(numbers(), start, start + count)]

    assert list(decimal_terms(start, count)) == expected


@given(start=st.integers(0, 200_000), count=st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_terms_of_large_indices_are_single_numbers_side_by_side(start: int, count: int) -> None:
    assert list(decimal_terms(start, count)) == [
        encode(fibonacci(n), Encoding.DECIMAL) for n in range(start, start + count)
    ]


@pytest.mark.parametrize("start", [0, 1, 20_577, 1_000_000])
def test_one_term_is_one_number_and_no_term_none(start: int) -> None:
    assert list(decimal_terms(start, 1)) == [encode(fibonacci(start), Encoding.DECIMAL)]
    assert list(decimal_terms(start, 0)) == []


@given(n=st.integers(0, 1_000_000))
@settings(deadline=None, max_examples=50)
def test_large_numbers_agree_with_plain_doubling_modulo_primes(n: int) -> None:
    value = fibonacci(n)
    for prime in (2, 5, 999_999_937, 2**61 - 1, 2**127 - 1, 2**521 - 1):
        assert value % prime == number_modulo(n, prime)


@given(n=st.integers(2, 1_000_000))
@settings(deadline=None, max_examples=50)
def test_large_numbers_have_as_many_digits_as_binets_formula_says(n: int) -> None:
    with localcontext(prec=50):
        root = Decimal(5).sqrt()
        logarithm = n * ((1 + root) / 2).log10() - root.log10()

    assert len(encode(fibonacci(n), Encoding.DECIMAL)) == int(logarithm) + 1
