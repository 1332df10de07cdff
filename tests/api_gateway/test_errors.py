import grpc
import pytest

from api_gateway.errors import UpstreamError

ALLOWED = "must be at most 5, not 6"


def error(message: str, *fields: tuple[str, str]) -> UpstreamError:
    raised = UpstreamError(grpc.StatusCode.INVALID_ARGUMENT, message, fields, retry_delay_seconds=2)
    raised.service = "fibonacci_service"
    return raised


@pytest.mark.parametrize(
    ("message", "told"),
    [(f"n {ALLOWED}", f"n[3] {ALLOWED}"), ("no more than 5 fit", "n[3]: no more than 5 fit"), ("no", "n[3]: no")],
)
def test_a_field_at_fault_is_told_by_its_place_in_what_the_caller_sent(message: str, told: str) -> None:
    placed = error(message, ("n", ALLOWED)).at("n[3]")

    assert (placed.message, placed.fields) == (told, [("n[3]", ALLOWED)])
    assert (placed.code, placed.retry_delay_seconds) == (grpc.StatusCode.INVALID_ARGUMENT, 2)
    assert placed.service == "fibonacci_service"


def test_what_is_no_fields_fault_stays_as_it_is() -> None:
    raised = error("too many wait")

    assert raised.at("n[3]") is raised
