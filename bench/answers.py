"""What the gateway must answer, computed the plainest way."""

import json
import math

#: The last index whose number fits int64.
LAST_INT64_INDEX = 92
#: Where one number is asked for again and again.
MEASURED_INDEX = 10
#: What is gone round where different numbers are asked for.
EACH_INDEX = range(LAST_INT64_INDEX + 1)


def fibonacci(n: int) -> int:
    number, following = 0, 1
    for _ in range(n):
        number, following = following, number + following
    return number


def fibonacci_modulo(n: int, modulus: int) -> int:
    """F(n) modulo a number, by the formulas of 2k and 2k+1 for each bit of n."""
    number, following = 0, 1
    for bit in f"{n:b}":
        number, following = number * (2 * following - number) % modulus, (number**2 + following**2) % modulus
        if bit == "1":
            number, following = following, (number + following) % modulus
    return number


def digit_count(n: int) -> int:
    """Of F(n), for n below 10^9 and from 2 on: log10 of phi^n / sqrt(5), where no F(n) is near a power of ten."""
    return int(n * math.log10((1 + math.sqrt(5)) / 2) - math.log10(5) / 2) + 1


def answer(n: int) -> bytes:
    """The body of GET /fib?n=, byte for byte."""
    number = fibonacci(n)
    as_integer = {"x": number} if n <= LAST_INT64_INDEX else {}
    return json.dumps({"n": n, **as_integer, "value": str(number)}, separators=(",", ":")).encode()
