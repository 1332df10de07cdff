import pytest

from bench.figures import Load, Pair, Spread, percentile


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.501, 51), (0.99, 99), (1.0, 100)])
def test_a_percentile_is_the_nearest_rank(share: float, expected: int) -> None:
    assert percentile(range(100, 0, -1), share) == expected


def test_a_percentile_of_one_figure_is_that_figure() -> None:
    assert percentile([7.5], 0.99) == 7.5


def test_a_spread_is_the_median_and_both_ends() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 10.0]) == Spread(median=2.5, least=1.0, most=10.0)


def test_the_ratio_of_a_pair_is_ours_to_the_ceiling() -> None:
    pair = Pair(ours=_load(2500), ceiling=_load(10_000), cpu_us={})

    assert pair.ratio == 0.25


def _load(requests_per_second: float) -> Load:
    return Load(requests_per_second=requests_per_second, p50_ms=1, p99_ms=2)
