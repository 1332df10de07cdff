import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stats_service.measures import MOST, Measures, MinuteTotals
from tests.stats_service.accounts import histogram_of


@st.composite
def measures(draw: st.DrawFn) -> Measures:
    """What a list of requests adds up to."""
    times = draw(st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
    hits = draw(st.integers(0, len(times)))
    coalesced = draw(st.integers(0, len(times) - hits))
    first, last = sorted((draw(st.floats(1, 10**9)), draw(st.floats(1, 10**9))))
    errors = draw(st.dictionaries(st.integers(1, 4), st.integers(1, 9)))
    total, least, most = sum(times), min(times), max(times)
    return Measures(len(times), hits, coalesced, total, least, most, first, last, errors, histogram_of(times))


def test_two_measures_merge_into_one() -> None:
    one = Measures(2, 1, 1, 30, 10, 20, 50.0, 60.0, {1: 2}, {10: 1, 18: 1})
    other = Measures(3, 3, 0, 15, 5, 5, 55.0, 65.0, {1: 1, 3: 4}, {5: 3})

    assert one.merged(other) == Measures(5, 4, 1, 45, 5, 20, 50.0, 65.0, {1: 3, 3: 4}, {5: 3, 10: 1, 18: 1})


@given(one=measures(), other=measures(), third=measures())
@settings(deadline=None)
def test_the_order_of_merging_does_not_matter(one: Measures, other: Measures, third: Measures) -> None:
    assert one.merged(other) == other.merged(one)
    assert one.merged(other).merged(third) == one.merged(other.merged(third))


@given(one=measures(), other=measures())
@settings(deadline=None)
def test_what_holds_for_two_holds_for_both_together(one: Measures, other: Measures) -> None:
    for both in (one, other, one.merged(other)):
        assert both.cache_hits + both.coalesced + both.cache_misses == both.count
        assert both.shortest_ns <= both.mean_ns <= both.max_ns
        for share in (0.5, 0.9, 0.99):
            assert both.shortest_ns <= (both.percentile_ns(share) or 0.0) <= both.max_ns
        assert both.first_seen <= both.last_seen
        assert sum(both.histogram.values()) == both.count


def test_every_sum_stops_at_its_bound() -> None:
    huge = Measures(MOST, MOST, MOST, MOST, 1, 1, errors={1: MOST}, histogram={1: MOST})

    both = huge.merged(huge)

    assert (both.count, both.cache_hits, both.coalesced, both.total_ns) == (MOST,) * 4
    assert (both.errors, both.histogram) == ({1: MOST}, {1: MOST})
    assert MinuteTotals(1, *(MOST,) * 5).merged(MinuteTotals(1, *(5,) * 5)) == MinuteTotals(1, *(MOST,) * 5)


@pytest.mark.parametrize(("share", "ns"), [(0.5, 101), (0.99, 110)])
def test_a_percentile_is_never_outside_the_shortest_and_the_longest_time(share: float, ns: float) -> None:
    exact = {0.5: 101, 0.99: 110}
    of = Measures(2, 0, 0, 211, 101, 110, histogram=histogram_of(exact.values()))

    assert of.percentile_ns(share) == pytest.approx(ns, abs=5)
    assert 101 <= (of.percentile_ns(share) or 0) <= 110


def test_of_no_answer_every_time_is_nought_and_no_percentile_is_known() -> None:
    nothing = Measures(errors={1: 3})

    assert (nothing.mean_ns, nothing.shortest_ns, nothing.max_ns, nothing.percentile_ns(0.5)) == (0, 0, 0, None)
