import pytest

from fibonacci_service.errors import BatchTooLarge, FibonacciError, IndexTooLarge
from fibonacci_service.servicer import STATUS_TABLE


def test_every_error_has_a_status() -> None:
    assert set(STATUS_TABLE) == set(FibonacciError.__subclasses__())


@pytest.mark.parametrize("error", FibonacciError.__subclasses__())
def test_every_error_names_a_reason_of_its_own_and_a_field(error: type[FibonacciError]) -> None:
    assert error.reason.replace("_", "").isupper()
    assert error.field
    assert [other for other in FibonacciError.__subclasses__() if other.reason == error.reason] == [error]


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (IndexTooLarge(7, 5), {"n": "7", "limit": "5"}),
        (BatchTooLarge(size=7, limit=5, unit="items"), {"size": "7", "limit": "5", "unit": "items"}),
    ],
)
def test_the_facts_of_an_error_are_its_attributes(error: FibonacciError, facts: dict[str, str]) -> None:
    assert error.facts() == facts
    assert all(fact in str(error) for fact in facts.values())
