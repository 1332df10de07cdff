"""The mathematics: F(n), the ways to write it down, ranges and residues. Pure, with nothing to configure."""

import decimal
import enum
import math
from collections.abc import Iterator
from typing import assert_never

import gmpy2

#: The largest index whose number fits a signed 64-bit integer.
INT64_MAX_INDEX = 92


class Encoding(enum.IntEnum):
    """How a number is written as bytes, numbered as in the contract."""

    DECIMAL = 1
    BIG_ENDIAN = 2


def fibonacci(n: int) -> gmpy2.mpz:
    """F(n) for n >= 0, in the time of a few multiplications of numbers of F(n)'s size (GMP's mpz_fib_ui)."""
    return gmpy2.fib(n)


def encode(value: gmpy2.mpz, encoding: Encoding) -> bytes:
    """Writes a number that is not negative.

    DECIMAL goes through GMP, not through `str(int)`: that refuses more than 4,300 digits and takes quadratic time.
    """
    match encoding:
        case Encoding.DECIMAL:
            return bytes(value.digits(10), "ascii")
        case Encoding.BIG_ENDIAN:
            return int(value).to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
        case _:
            assert_never(encoding)


def residue(n: int, modulus: int) -> int:
    """F(n) modulo a positive modulus, in as many multiplications as n has bits (GMP's Lucas sequence U(1, -1))."""
    return int(gmpy2.lucasu_mod(1, -1, n, modulus))


def decimal_terms(start: int, count: int) -> Iterator[bytes]:
    """F(start), F(start + 1), … in decimal digits, `count` of them.

    Only the first two are converted; each further one is a decimal addition, which takes time in proportion to
    its digits where a conversion takes more: at n = 100,000 a sixth.
    """
    context = decimal.Context(
        prec=predicted_bytes(start + count, Encoding.DECIMAL) + 1,
        Emax=decimal.MAX_EMAX,
        Emin=decimal.MIN_EMIN,
        traps=[decimal.Inexact, decimal.Overflow, decimal.InvalidOperation],
    )
    later, earlier = gmpy2.fib2(start + 1)
    term = decimal.Decimal(earlier.digits(10))
    following = decimal.Decimal(later.digits(10))
    for _ in range(count):
        yield bytes(format(term, "f"), "ascii")
        term, following = following, context.add(term, following)


def predicted_bytes(n: int, encoding: Encoding) -> int:
    """The length of F(n) once encoded, exact or one more: F(n) is phi^n / sqrt(5), rounded (Binet)."""
    match encoding:
        case Encoding.DECIMAL:
            return int(n * _LOG10_PHI) + 1
        case Encoding.BIG_ENDIAN:
            return int(n * _LOG2_PHI / 8) + 1
        case _:
            assert_never(encoding)


_PHI = (1 + math.sqrt(5)) / 2
_LOG10_PHI = math.log10(_PHI)
_LOG2_PHI = math.log2(_PHI)

#: F(0) to F(92), the numbers that fit int64.
SMALL: tuple[int, ...] = tuple(int(gmpy2.fib(n)) for n in range(INT64_MAX_INDEX + 1))
