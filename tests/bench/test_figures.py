import pytest

from bench.figures import Aim, Figure, Load, Spread, percentile, ratios, slope


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_a_percentile_of_one_figure_is_that_figure() -> None:
    assert percentile([7.5], 0.99) == 7.5


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(median=2.5, least=1.0, most=10.0)


@pytest.mark.parametrize(
    ("aim", "median", "met"),
    [
        (Aim(8), 8, True),
        (Aim(8), 8.01, False),
        (Aim(5, at_least=True), 5, True),
        (Aim(5, at_least=True), 4.99, False),
    ],
)
def test_an_aim_is_met_up_to_its_bound(aim: Aim, median: float, met: bool) -> None:  # noqa: FBT001
    assert aim.is_met(median) is met


def test_a_figure_without_an_aim_neither_meets_nor_misses_one() -> None:
    assert Figure("ms", [1]).meets_aim is None


def test_a_figure_is_judged_by_its_median() -> None:
    assert Figure("ms", [1, 2, 100], Aim(2)).meets_aim is True


def test_ratios_are_those_of_each_pair() -> None:
    assert ratios([1, 4], [2, 2]) == [0.5, 2]


def test_a_slope_is_the_rise_from_one_place_to_the_next() -> None:
    assert slope([1, 2, 3, 4], [10, 12, 14, 16]) == pytest.approx(2)
    assert slope([0, 1, 2], [5, 5, 5]) == pytest.approx(0)


@pytest.mark.parametrize(("seconds", "least", "requests"), [(2, 1, 2001), (0.001, 64, 64)])
def test_a_load_tells_how_many_requests_take_so_long(seconds: float, least: int, requests: int) -> None:
    load = Load(requests_per_second=1000.4, p50_ms=1, p99_ms=2)

    assert load.requests_within(seconds, least=least) == requests
