import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fibonacci_service import price as prices
from fibonacci_service.price import MEASURED_INDICES, PEAK_BYTES_PER_DIGIT, Price, measure

PRICE = Price(((1_000, 1e-6), (10_000, 1e-5), (100_000, 4e-4), (1_000_000, 1e-2)))

indices = st.integers(0, 10**100)


@pytest.mark.parametrize("point", PRICE.points)
def test_a_price_is_exact_at_its_points(point: tuple[int, float]) -> None:
    n, seconds = point

    assert PRICE.seconds(n) == pytest.approx(seconds, rel=1e-12)


@given(n=indices, m=indices)
def test_a_larger_index_never_costs_less(n: int, m: int) -> None:
    low, high = sorted((n, m))

    assert 0 < PRICE.seconds(low) <= PRICE.seconds(high) * (1 + 1e-12)
    assert 0 < PRICE.bytes(low) <= PRICE.bytes(high) < math.inf


def test_between_two_points_a_price_is_their_geometric_mean() -> None:
    assert PRICE.seconds(31_623) == pytest.approx(math.sqrt(1e-5 * 4e-4), rel=1e-4)


def test_below_its_points_a_price_is_constant_and_beyond_them_it_grows_by_a_power() -> None:
    assert PRICE.seconds(0) == PRICE.seconds(999) == 1e-6
    assert PRICE.seconds(10**8) / PRICE.seconds(10**7) == pytest.approx(10**prices.GROWTH)


def test_memory_follows_the_digits() -> None:
    assert PRICE.bytes(1_000_000) == PEAK_BYTES_PER_DIGIT * 208_988


def test_the_best_of_the_tries_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = iter([3.0, 1.0, 2.0] * len(MEASURED_INDICES))
    monkeypatch.setattr(prices, "_measured_seconds", lambda _n: next(tries))

    assert measure() == tuple((n, 1.0) for n in MEASURED_INDICES)


def test_what_is_measured_makes_a_price() -> None:
    points = measure()

    assert tuple(n for n, _ in points) == MEASURED_INDICES
    assert all(seconds > 0 for _, seconds in points)
    assert Price(points).seconds(1_000_000) == points[-1][1]
