"""What can be said of F(n) without computing it, for indices of up to 100 digits. Pure, and proven to the last digit.

Binet's formula is F(n) = (phi^n - psi^n) / sqrt(5), with phi = (1 + sqrt(5)) / 2 and psi = -1 / phi. So log F(n) is
n log phi - log(5) / 2 + log(1 - (-1)^n phi^-2n), whose last term lies within 2^-n of zero. Both ends of an interval
around it are computed with every rounding directed outwards: what they agree on is true of F(n), and where they
differ they are computed again, more precisely.

They agree in the end. A power of two, or a number of 20 digits with zeros behind them, is at least 1 away from F(n),
which is more than the last term can hide; or it would have to be F(n), but 2^(k+2) divides F(n) only where 2^k divides
n, and 10^k only where 5^k does (Lengyel, The order of the Fibonacci and Lucas numbers, 1995).
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gmpy2

from fibonacci_service.sequence import Encoding, encode, fibonacci, residue

#: How many digits are told of either end.
END_DIGITS = 20
#: Up to here F(n) itself is written down, which takes some 10 us.
EXACT_MAX_INDEX = 10_000
#: By how many bits the first interval is narrower than the digits ask for: one index in 10^18 or so needs a second.
GUARD_BITS = 64


@dataclass(frozen=True, slots=True)
class Description:
    """All of it exact. F(0) has one digit and no bits. Where F(n) has fewer than 20 digits, either end is all of it."""

    digit_count: int
    bit_count: int
    leading_digits: str
    trailing_digits: str


def describe(n: int) -> Description:
    """Takes about 0.2 ms at n = 10^100, little enough for the event loop."""
    if n <= EXACT_MAX_INDEX:
        return _read(fibonacci(n))
    digit_count, leading_digits = _leading(n)
    trailing_digits = f"{residue(n, 10**END_DIGITS):0{END_DIGITS}d}"
    return Description(digit_count, _bit_count(n), leading_digits, trailing_digits)


def _read(value: gmpy2.mpz) -> Description:
    digits = encode(value, Encoding.DECIMAL).decode()
    return Description(len(digits), value.bit_length(), digits[:END_DIGITS], digits[-END_DIGITS:])


#: A logarithm to some base, at a context's precision and rounding.
_Log = Callable[[gmpy2.context, gmpy2.mpfr | int], gmpy2.mpfr]


def _roundings(n: int) -> Iterator[tuple[gmpy2.context, gmpy2.context]]:
    """MPFR's arithmetic, downwards and upwards, ever more precise: from what the digits of n and of one end need."""
    needed = n.bit_length() + (10**END_DIGITS).bit_length()
    for doublings in itertools.count():
        precision = needed + (GUARD_BITS << doublings)
        down = gmpy2.context(precision=precision, round=gmpy2.RoundDown)
        yield down, gmpy2.context(precision=precision, round=gmpy2.RoundUp)


def _leading(n: int) -> tuple[int, str]:
    """How many digits F(n) has, and the first: 10 to the power of 19 and the fraction of log10 F(n)."""
    for down, up in _roundings(n):
        low, high = _logarithm(n, gmpy2.context.log10, down, up)
        whole = gmpy2.mpz(down.floor(low))
        least = down.exp10(down.add(down.sub(low, whole), END_DIGITS - 1))
        most = up.exp10(up.add(up.sub(high, whole), END_DIGITS - 1))
        first = gmpy2.mpz(down.floor(least))
        if first == gmpy2.mpz(up.floor(most)):  # `high` has the same whole part then, or `most` were 10^20 or more
            return int(whole) + 1, first.digits(10)
    raise AssertionError  # the roundings do not end


def _bit_count(n: int) -> int:
    for down, up in _roundings(n):
        low, high = _logarithm(n, gmpy2.context.log2, down, up)
        whole = gmpy2.mpz(down.floor(low))
        if whole == gmpy2.mpz(up.floor(high)):
            return int(whole) + 1
    raise AssertionError  # the roundings do not end


def _logarithm(n: int, log: _Log, down: gmpy2.context, up: gmpy2.context) -> tuple[gmpy2.mpfr, gmpy2.mpfr]:
    """Both ends of an interval that log F(n) lies in."""
    last_term = gmpy2.exp2(-min(n, down.precision))  # a power of two is exact at any precision
    low = down.sub(_log_power(n, log, down), up.div(log(up, 5), 2))
    high = up.sub(_log_power(n, log, up), down.div(log(down, 5), 2))
    return down.sub(low, last_term), up.add(high, last_term)


def _log_power(n: int, log: _Log, at: gmpy2.context) -> gmpy2.mpfr:
    """Log phi^n."""
    phi = at.div(at.add(at.sqrt(5), 1), 2)
    return at.mul(log(at, phi), n)
