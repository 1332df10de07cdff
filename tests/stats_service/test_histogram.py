import math

from hypothesis import given, settings
from hypothesis import strategies as st

from stats_service.histogram import MAX_BUCKET, bucket_of, middle_ns, percentile_ns
from stats_service.measures import MAX_DURATION_NS
from tests.stats_service import accounts
from tests.stats_service.accounts import histogram_of

times = st.one_of(st.integers(0, 64), st.integers(0, MAX_DURATION_NS), st.integers(0, 50).map(lambda bits: 2**bits))


@given(time=times)
@settings(deadline=None)
def test_the_middle_of_a_bucket_is_at_most_a_sixteenth_off_any_time_in_it(time: int) -> None:
    assert abs(middle_ns(bucket_of(time)) - time) <= time / 16


@given(time=times)
@settings(deadline=None)
def test_a_time_is_in_the_bucket_that_the_contract_gives(time: int) -> None:
    assert bucket_of(time) == accounts.bucket_of(time)


@given(one=times, other=times)
@settings(deadline=None)
def test_a_longer_time_is_in_no_earlier_bucket(one: int, other: int) -> None:
    shorter, longer = sorted((one, other))

    assert bucket_of(shorter) <= bucket_of(longer)
    assert middle_ns(bucket_of(shorter)) <= middle_ns(bucket_of(longer))


def test_every_bucket_has_its_own_middle_and_they_rise_to_the_longest_time() -> None:
    middles = [middle_ns(bucket) for bucket in range(MAX_BUCKET + 1)]

    assert middles == sorted(set(middles))
    assert [bucket_of(round(middle)) for middle in middles] == list(range(MAX_BUCKET + 1))
    assert bucket_of(MAX_DURATION_NS) <= MAX_BUCKET < bucket_of(2**50)


@given(of=st.lists(times, min_size=1, max_size=200), share=st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
@settings(deadline=None)
def test_a_percentile_is_at_most_a_sixteenth_off_the_true_one(of: list[int], share: float) -> None:
    true = sorted(of)[math.ceil(share * len(of)) - 1]

    found = percentile_ns(histogram_of(of), share)

    assert found is not None
    assert abs(found - true) <= true / 16


@given(of=st.lists(times, min_size=1, max_size=50))
@settings(deadline=None)
def test_percentiles_rise_with_their_share(of: list[int]) -> None:
    found = [percentile_ns(histogram_of(of), share / 20) or 0.0 for share in range(21)]

    assert found == sorted(found)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert percentile_ns({}, 0.5) is None


def test_the_buckets_are_those_that_the_contract_gives() -> None:
    by_time = {0: 0, 15: 15, 16: 16, 17: 16, 18: 17, 31: 23, 32: 24, 1_000: 63, 1_000_000: 143, MAX_DURATION_NS: 382}

    assert {time: bucket_of(time) for time in by_time} == by_time
