from hypothesis import given, settings
from hypothesis import strategies as st

from stats_service.summary import NumberTotals, Summary, summarize


@st.composite
def totals(draw: st.DrawFn, n: int) -> NumberTotals:
    """What a list of single requests for n adds up to."""
    durations = draw(st.lists(st.integers(0, 10**12), min_size=1, max_size=5))
    hits = draw(st.integers(0, len(durations)))
    return NumberTotals(n, len(durations), hits, sum(durations), min(durations), max(durations))


def times(n: int, count: int) -> NumberTotals:
    return NumberTotals(n, count, count // 2, count * 10, 10, 10)


def test_two_totals_of_a_number_merge_into_one() -> None:
    one = NumberTotals(n=10, count=2, cache_hits=1, total_ns=30, min_ns=10, max_ns=20)
    other = NumberTotals(n=10, count=3, cache_hits=3, total_ns=15, min_ns=5, max_ns=5)

    assert one.merged(other) == NumberTotals(n=10, count=5, cache_hits=4, total_ns=45, min_ns=5, max_ns=20)


@given(one=totals(7), other=totals(7), third=totals(7))
@settings(deadline=None)
def test_the_order_of_merging_does_not_matter(one: NumberTotals, other: NumberTotals, third: NumberTotals) -> None:
    assert one.merged(other) == other.merged(one)
    assert one.merged(other).merged(third) == one.merged(other.merged(third))


@given(one=totals(7), other=totals(7))
@settings(deadline=None)
def test_what_holds_for_two_totals_holds_for_both_together(one: NumberTotals, other: NumberTotals) -> None:
    one.check("one")
    other.check("other")
    one.merged(other).check("both")


def test_a_summary_has_the_busiest_first_and_the_smaller_among_equals() -> None:
    numbers = [times(1, 2), times(9, 5), times(3, 5), times(2, 1)]

    assert [number.n for number in summarize(numbers, limit=10).numbers] == [3, 9, 1, 2]


def test_the_limit_cuts_the_numbers_and_not_the_totals() -> None:
    summary = summarize([times(1, 2), times(9, 5), times(3, 4)], limit=1)

    assert summary == Summary(total_requests=11, total_cache_hits=5, numbers=[times(9, 5)])


def test_of_nothing_there_is_an_empty_summary() -> None:
    assert summarize([], limit=10) == Summary(0, 0, [])
