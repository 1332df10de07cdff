import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status

from service_kit.errors import ServiceError
from service_kit.rpc_status import code_of, field_violations, number_of, retry_delay_seconds, status_of
from tests.refusal import Refusal, refusal_in


class Refused(ServiceError):
    reason = "REFUSED"
    field = "size"

    def __init__(self, size: int) -> None:
        super().__init__(f"size must not be {size}")
        self.size = size


class Gone(ServiceError):
    reason = "GONE"


class Busy(ServiceError):
    reason = "BUSY"

    def __init__(self, delay: float) -> None:
        super().__init__("come again")
        self.retry_delay_seconds = delay


class Unlisted(Refused):
    """Its base is in the table; it is not."""


TABLE = {
    Refused: grpc.StatusCode.INVALID_ARGUMENT,
    Gone: grpc.StatusCode.NOT_FOUND,
    Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def test_an_error_goes_to_a_status_with_all_its_details() -> None:
    assert refusal_in(status_of(Refused(7), TABLE)) == Refusal(
        code=grpc.StatusCode.INVALID_ARGUMENT,
        message="size must not be 7",
        reason="REFUSED",
        field="size",
        facts={"size": "7"},
    )


def test_what_is_wrong_with_a_field_comes_back_out_of_the_status() -> None:
    received = Status.FromString(status_of(Refused(7), TABLE).SerializeToString())

    assert field_violations(received) == [("size", "size must not be 7")]


def test_an_error_of_no_field_violates_none() -> None:
    status = status_of(Gone("it is gone"), TABLE)

    assert field_violations(status) == []
    assert refusal_in(status) == Refusal(grpc.StatusCode.NOT_FOUND, "it is gone", "GONE", "", {})


@pytest.mark.parametrize("delay", [0, 0.001, 1, 2.75, 3_600])
def test_when_to_try_again_comes_back_out_of_the_status_and_is_no_fact(delay: float) -> None:
    received = Status.FromString(status_of(Busy(delay), TABLE).SerializeToString())

    assert retry_delay_seconds(received) == delay
    assert refusal_in(received) == Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "come again", "BUSY", "", {}, delay)


def test_a_status_that_asks_for_no_other_try_has_no_delay() -> None:
    assert retry_delay_seconds(status_of(Gone("it is gone"), TABLE)) is None
    assert retry_delay_seconds(Status()) is None


@pytest.mark.parametrize("error", [ValueError("secret"), Unlisted(7), ServiceError("secret"), KeyError(Refused)])
def test_an_error_that_is_not_listed_is_internal_and_keeps_its_text(error: Exception) -> None:
    assert status_of(error, TABLE) == Status(code=number_of(grpc.StatusCode.INTERNAL), message="internal error")


def test_a_status_of_other_details_violates_no_field() -> None:
    status = Status()
    status.details.add().Pack(Empty())

    assert field_violations(status) == []


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_a_code_comes_back_from_its_number(code: grpc.StatusCode) -> None:
    assert code_of(number_of(code)) is code


@pytest.mark.parametrize("number", [-1, 17, 1_000])
def test_a_number_of_no_code_is_unknown(number: int) -> None:
    assert code_of(number) is grpc.StatusCode.UNKNOWN
