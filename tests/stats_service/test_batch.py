"""What must hold of a batch over gRPC is in test_servicer_refusals.py; here is what it adds to the account."""

import pytest

from stats_service.batch import ALL, MAX_AGE_SECONDS
from stats_service.errors import RecordRefused
from stats_service.measures import Measures, MinuteTotals
from stats_service.records import NumberRecord, OperationRecord, histogram_of, single
from tests.stats_service.accounts import NOON, answers, batch, failures, measures


def test_the_numbers_are_added_in_rising_order_and_all_of_them_last() -> None:
    sent = batch(1, answers(5), answers(9), errors=[failures(1), failures(5), failures(7), failures(12)])

    assert [number.n for number in sent.measures(NOON)] == [1, 5, 7, 9, 12, ALL]


def test_all_together_are_what_the_numbers_merge_into() -> None:
    sent = batch(1, answers(5, 3, 1), answers(9, 2, 0, 2, each_ns=7), errors=[failures(5, 1, 4), failures(12, 2, 1)])
    *numbers, together = (number.measures for number in sent.measures(NOON))

    merged = numbers[0].merged(numbers[1]).merged(numbers[2])

    assert together == merged == Measures(5, 1, 2, 314, 7, 100, NOON, NOON, {1: 4, 2: 1}, {7: 2, 36: 3})


def test_operations_alone_add_to_no_number() -> None:
    assert batch(1, operations=[OperationRecord(1, 5)]).measures(NOON) == []


def test_a_record_and_its_errors_are_added_as_one() -> None:
    [ten, _] = batch(1, answers(10, 2), errors=[failures(10, 1, 3), failures(10, 2, 1)]).measures(NOON)

    assert ten.measures == measures(answers(10, 2), errors={1: 3, 2: 1})


@pytest.mark.parametrize(
    ("start", "seen"), [(None, NOON), (NOON - 59, NOON - 59), (NOON + 9, NOON), (0.0, NOON - MAX_AGE_SECONDS)]
)
def test_a_batch_is_of_the_minute_in_which_it_was_first_seen(start: float | None, seen: float) -> None:
    minute = batch(1, answers(10, 4, 1, 2), errors=[failures(10, 1, 3)], start_time=start).minute(NOON)

    assert minute == MinuteTotals(int(seen // 60), 4, 1, 2, 3, 400)


def test_it_counts_what_was_answered() -> None:
    assert batch(1, answers(1, 2), answers(2, 3), errors=[failures(1, 1, 9)]).count == 5


def test_a_single_record_is_one_answer_whose_time_is_known() -> None:
    assert single(10, 1_000) == NumberRecord(10, 1, 0, 0, 1_000, 1_000, 1_000, {63: 1})


def test_two_lists_spell_a_histogram() -> None:
    assert histogram_of([1, 5, 383], [3, 1, 2], 0) == {1: 3, 5: 1, 383: 2}
    assert histogram_of([], [], 0) == {}


def test_a_refusal_names_the_entry_that_is_at_fault() -> None:
    with pytest.raises(RecordRefused) as caught:
        batch(1, answers(1), answers(2), errors=[failures(1), failures(1, 2), failures(1, 2)]).check()

    assert caught.value.field == "errors[2].n"
