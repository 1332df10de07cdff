import decimal

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci_service import description
from fibonacci_service.description import EXACT_MAX_INDEX, Description, describe
from tests.fibonacci_service.doubling import number_modulo

huge_indices = st.integers(1, 100).flatmap(lambda digits: st.integers(10 ** (digits - 1), 10**digits - 1))


def read_off(n: int) -> Description:
    """The oracle: F(n) written out."""
    value = gmpy2.fib(n)
    digits = value.digits(10)
    return Description(len(digits), len(value.digits(2)) if n else 0, digits[:20], digits[-20:])


def estimated(n: int) -> tuple[int, int, str]:
    """Binet's formula in the other arithmetic, to 400 digits: enough for all but one index in 10^200."""
    with decimal.localcontext(prec=400):
        root = decimal.Decimal(5).sqrt()
        logarithm = n * ((1 + root) / 2).log10() - root.log10()
        bits = logarithm / decimal.Decimal(2).log10()
        leading = 10 ** (logarithm % 1 + 19)
        return int(logarithm) + 1, int(bits) + 1, str(int(leading))


@pytest.fixture
def without_writing_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The formula answers wherever it holds, for small indices too."""
    monkeypatch.setattr(description, "EXACT_MAX_INDEX", 100)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (0, Description(1, 0, "0", "0")),
        (1, Description(1, 1, "1", "1")),
        (2, Description(1, 1, "1", "1")),
        (6, Description(1, 4, "8", "8")),
        (7, Description(2, 4, "13", "13")),
        (92, Description(19, 63, "7540113804746346429", "7540113804746346429")),
        (100, Description(21, 69, "35422484817926191507", "54224848179261915075")),
    ],
)
def test_small_numbers_are_described_as_published(n: int, expected: Description) -> None:
    assert describe(n) == expected


@given(n=st.integers(0, 20_000))
@settings(deadline=None)
def test_a_description_is_what_the_number_says(n: int) -> None:
    assert describe(n) == read_off(n)


@pytest.mark.parametrize("n", [EXACT_MAX_INDEX, EXACT_MAX_INDEX + 1, 999_999, 1_000_000, 1_000_001, 1_500_000])
def test_a_description_is_what_a_large_number_says(n: int) -> None:
    assert describe(n) == read_off(n)


@pytest.mark.usefixtures("without_writing_out")
def test_the_formula_holds_for_every_small_index_and_so_on_both_sides_of_every_new_digit_and_bit() -> None:
    for n in range(101, 20_001):
        assert describe(n) == read_off(n), n


@pytest.mark.usefixtures("without_writing_out")
def test_an_interval_that_is_too_wide_is_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "GUARD_BITS", 1)

    for n in range(101, 1_000):
        assert describe(n) == read_off(n), n


@pytest.mark.usefixtures("without_writing_out")
def test_an_interval_that_is_too_wide_for_the_bits_is_narrowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "GUARD_BITS", 1)
    monkeypatch.setattr(description, "END_DIGITS", 1)  # for more of them it would be narrow enough at once

    for n in range(101, 1_000):
        assert describe(n).bit_count == gmpy2.fib(n).bit_length(), n


@given(n=huge_indices)
@settings(deadline=None, max_examples=300)
def test_an_index_of_up_to_a_hundred_digits_agrees_with_another_arithmetic(n: int) -> None:
    if n > EXACT_MAX_INDEX:
        described = describe(n)

        assert (described.digit_count, described.bit_count, described.leading_digits) == estimated(n)
        assert int(described.trailing_digits) == number_modulo(n, 10**20)
        assert len(described.trailing_digits) == 20


def test_trailing_digits_keep_their_leading_zeros() -> None:
    period = 15 * 10**19  # of the last 20 digits

    assert describe(period).trailing_digits == "0" * 20
    assert describe(period + 10).trailing_digits == "55".zfill(20)
    assert describe(10**99 * 15 + 1).trailing_digits == "1".zfill(20)


@given(n=huge_indices)
@settings(deadline=None)
def test_the_next_number_has_as_many_digits_and_bits_or_one_more(n: int) -> None:
    this, following = describe(n), describe(n + 1)

    assert following.digit_count - this.digit_count in (0, 1)
    assert following.bit_count - this.bit_count in (0, 1)
