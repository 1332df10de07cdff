"""A refusal as a client reads it: the status code, and the details that AIP-193 asks for."""

from collections.abc import Awaitable
from dataclasses import dataclass

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import from_call

from service_kit.rpc_status import code_of


@dataclass(frozen=True, slots=True)
class Refusal:
    """The one violated field is empty where the status names none; without a delay nothing is said of another try."""

    code: grpc.StatusCode
    message: str
    reason: str
    field: str
    facts: dict[str, str]
    retry_delay_seconds: float | None = None


async def refusal_of(call: Awaitable[object]) -> Refusal:
    """What a call failed with; the test fails where it did not."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = from_call(caught.value)
    assert status is not None, f"{caught.value.code()} without details"
    return refusal_in(status)


def refusal_in(status: Status) -> Refusal:
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        assert detail.Unpack(info) or detail.Unpack(bad_request) or detail.Unpack(retry)
    assert info.domain == "exact-fibonacci"
    fields = [violation.field for violation in bad_request.field_violations]
    assert len(fields) <= 1
    delay = retry.retry_delay.ToMicroseconds() / 1e6 if retry.HasField("retry_delay") else None
    return Refusal(code_of(status.code), status.message, info.reason, "".join(fields), dict(info.metadata), delay)
