"""On the real process, against sums of Python's own integers."""

import hashlib

import pytest

from bench.answers import fibonacci
from bench.errors import BenchmarkFailed
from bench.sizes.client import check_digits
from bench.sizes.library import Library, Measured, lines_sha256


def test_the_library_reports_the_digits_of_a_number() -> None:
    digits = str(fibonacci(1_000)).encode()
    with Library() as library:
        measured = library.measure("value", 1_000)

    assert (measured.length, measured.sha256) == (len(digits), hashlib.sha256(digits).hexdigest())
    assert measured.seconds > 0
    check_digits(1_000, digits, measured)


def test_the_generator_and_conversions_give_the_same_terms() -> None:
    terms = [str(fibonacci(n)).encode() for n in range(90, 100)]
    with Library() as library:
        both = [library.measure(task, 90, 10) for task in ("generator", "conversions")]

    assert {measured.sha256 for measured in both} == {lines_sha256(terms)}
    assert {measured.length for measured in both} == {sum(map(len, terms))}


def test_a_library_that_ends_fails_the_run() -> None:
    with Library() as library, pytest.raises(BenchmarkFailed, match="did not finish value"):
        library.measure("value", -1)


def test_other_digits_fail_the_run() -> None:
    expected = Measured(seconds=1, cpu_seconds=1, length=2, sha256=hashlib.sha256(b"55").hexdigest())

    with pytest.raises(BenchmarkFailed, match=r"F\(10\) came in 2 bytes that are not its 2 digits"):
        check_digits(10, b"54", expected)
