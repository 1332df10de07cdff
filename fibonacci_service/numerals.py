"""Whole numbers that come as text, because no integer of the contract is long enough for them."""

from fibonacci_service.errors import NumeralMalformed, NumeralTooLong, NumeralTooSmall


def parse_numeral(text: str, *, field: str, max_digits: int, least: int = 0) -> int:
    """Takes plain ASCII digits without a sign or leading zeros, so that every number has one text.

    Raises NumeralTooLong before it looks at a digit, NumeralMalformed or NumeralTooSmall.
    """
    if len(text) > max_digits:
        raise NumeralTooLong(field, len(text), max_digits)
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0"):
        raise NumeralMalformed(field, text)
    number = int(text)
    if number < least:
        raise NumeralTooSmall(field, number, least)
    return number
