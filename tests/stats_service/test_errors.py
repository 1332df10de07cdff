import pytest

from service_kit.errors import ServiceError
from stats_service import errors
from stats_service.contract import STATUS_TABLE


def own_errors() -> list[type[ServiceError]]:
    return [error for error in ServiceError.__subclasses__() if error.__module__ == errors.__name__]


def test_every_error_has_a_status() -> None:
    assert set(STATUS_TABLE) == set(own_errors())


@pytest.mark.parametrize("error", own_errors())
def test_every_error_names_a_reason_of_its_own(error: type[ServiceError]) -> None:
    assert error.reason.replace("_", "").isupper()
    assert [other for other in own_errors() if other.reason == error.reason] == [error]


def test_a_refused_record_names_its_field_and_the_bound() -> None:
    error = errors.RecordRefused("records[3].n", "must be 0 or more")

    assert (str(error), error.field) == ("records[3].n must be 0 or more", "records[3].n")
    assert error.facts() == {"bound": "must be 0 or more"}
