"""The mathematics: F(n) and the ways to write it down. Pure, with nothing to configure."""

import enum
import math
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
