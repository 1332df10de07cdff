import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibonacci_service.errors import MAX_EXCERPT, NumeralMalformed, NumeralTooLong, NumeralTooSmall
from fibonacci_service.numerals import parse_numeral


@given(number=st.integers(0, 10**1000 - 1))
def test_plain_digits_are_read(number: int) -> None:
    assert parse_numeral(f"{number}", field="n", max_digits=1_000) == number


@pytest.mark.parametrize(
    "text", ["", " 1", "1 ", "1\n", "+1", "-1", "-0", "01", "00", "1_0", "1.0", "1e3", "0x1", "²", "\u0661", "abc"]
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(NumeralMalformed, match=r"^modulus must be decimal digits") as caught:
        parse_numeral(text, field="modulus", max_digits=100)

    assert caught.value.field == "modulus"


@given(text=st.text(max_size=200))
def test_an_error_repeats_little_of_a_text_and_only_what_can_be_printed(text: str) -> None:
    error = NumeralMalformed("n", text)

    assert len(error.excerpt) <= MAX_EXCERPT
    assert str(error).isascii()
    assert str(error).isprintable()


def test_a_short_text_is_repeated_whole_and_a_long_one_is_cut() -> None:
    assert NumeralMalformed("n", "x" * 40).excerpt == "x" * 40
    assert NumeralMalformed("n", "x" * 41).excerpt == "x" * 37 + "..."


@pytest.mark.parametrize("text", ["1000", "abcd", "0000", "9" * 5_000])
def test_a_text_that_is_too_long_is_refused_unread(text: str) -> None:
    with pytest.raises(NumeralTooLong, match=rf"^n must have at most 3 digits, not {len(text)}$") as caught:
        parse_numeral(text, field="n", max_digits=3)

    assert caught.value.field == "n"
    assert caught.value.facts() == {"length": str(len(text)), "limit": "3"}


def test_the_least_number_is_the_bound() -> None:
    assert parse_numeral("1", field="modulus", max_digits=3, least=1) == 1
    with pytest.raises(NumeralTooSmall, match=r"^modulus must be 1 or more, not 0$") as caught:
        parse_numeral("0", field="modulus", max_digits=3, least=1)

    assert caught.value.field == "modulus"
    assert caught.value.facts() == {"number": "0", "least": "1"}
