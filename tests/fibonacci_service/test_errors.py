import grpc
import pytest

from fibonacci_service import errors
from fibonacci_service.contract import STATUS_TABLE
from fibonacci_service.errors import FibonacciError

EXAMPLES: list[tuple[FibonacciError, str | None, dict[str, str]]] = [
    (errors.IndexNegative(-7), "n", {"n": "-7"}),
    (errors.IndexNegative(-7, field="start"), "start", {"n": "-7"}),
    (errors.IndexTooLarge(7, 5), "n", {"n": "7", "limit": "5"}),
    (errors.EncodingNeeded(93), "encoding", {"n": "93"}),
    (errors.EncodingUnknown(3), "encoding", {"number": "3"}),
    (errors.CountTooSmall(0), "count", {"count": "0"}),
    (errors.RangeTooHigh(7, 5), "count", {"end": "7", "limit": "5"}),
    (errors.RangeTooHigh(7, 5, field="start"), "start", {"end": "7", "limit": "5"}),
    (errors.SliceOutOfRange("offset", 7, 5), "offset", {"value": "7", "total": "5"}),
    (errors.BatchTooLarge(size=7, limit=5, unit="items"), "items", {"size": "7", "limit": "5", "unit": "items"}),
    (errors.ColumnsDiffer("encodings", 7, 5), "encodings", {"size": "7", "items": "5"}),
    (errors.NumeralMalformed("modulus", "-7"), "modulus", {"excerpt": "-7"}),
    (errors.NumeralTooLong("modulus", 7, 5), "modulus", {"length": "7", "limit": "5"}),
    (errors.NumeralTooSmall("modulus", 0, 1), "modulus", {"number": "0", "least": "1"}),
    (errors.WorkersBusy(2.54), None, {"wait_seconds": "2.5"}),
]


def test_every_error_has_a_status() -> None:
    assert set(STATUS_TABLE) == set(FibonacciError.__subclasses__())


def test_every_error_names_a_reason_of_its_own() -> None:
    reasons = [error.reason for error in FibonacciError.__subclasses__()]

    assert len(set(reasons)) == len(reasons)
    assert all(reason.replace("_", "").isupper() for reason in reasons)


def test_an_error_that_is_its_callers_fault_names_the_field_and_no_other_does() -> None:
    assert {type(error) for error, _, _ in EXAMPLES} | {errors.WorkerLost} == set(STATUS_TABLE)
    for error, field, _ in EXAMPLES:
        fault = STATUS_TABLE[type(error)] in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)
        assert error.field == field
        assert (field is not None) is fault


@pytest.mark.parametrize(("error", "facts"), [(error, facts) for error, _, facts in EXAMPLES])
def test_the_facts_of_an_error_are_its_attributes_and_in_its_text(error: FibonacciError, facts: dict[str, str]) -> None:
    assert error.facts() == facts
    assert all(fact in str(error) for fact in facts.values())


def test_a_lost_worker_tells_its_exit_status_as_a_fact_only() -> None:
    error = errors.WorkerLost(-9)

    assert (error.field, error.facts(), str(error)) == (
        None,
        {"exit_status": "-9"},
        "the computation was interrupted; try again",
    )
