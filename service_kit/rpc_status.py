"""Errors as `google.rpc.Status`, with the details that AIP-193 asks for."""

from collections.abc import Mapping

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from service_kit.errors import ServiceError

StatusTable = Mapping[type[ServiceError], grpc.StatusCode]

#: The host part of ErrorInfo, which says whose reasons these are.
ERROR_DOMAIN = "exact-fibonacci"


def status_of(error: Exception, table: StatusTable) -> Status:
    """The status of an error. What the table does not list is INTERNAL and keeps its text to itself."""
    code = table.get(type(error)) if isinstance(error, ServiceError) else None
    if code is None or not isinstance(error, ServiceError):
        return Status(code=number_of(grpc.StatusCode.INTERNAL), message="internal error")
    status = Status(code=number_of(code), message=str(error))
    info = ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=error.facts())
    status.details.append(_packed(info))
    if error.field is not None:
        violation = BadRequest.FieldViolation(field=error.field, description=str(error), reason=error.reason)
        status.details.append(_packed(BadRequest(field_violations=[violation])))
    if error.retry_delay_seconds is not None:
        status.details.append(_packed(RetryInfo(retry_delay=_duration(error.retry_delay_seconds))))
    return status


def field_violations(status: Status) -> list[tuple[str, str]]:
    """The (field, description) pairs of a status that carries a BadRequest."""
    detail = BadRequest()
    for packed in status.details:
        if packed.Unpack(detail):
            return [(violation.field, violation.description) for violation in detail.field_violations]
    return []


def retry_delay_seconds(status: Status) -> float | None:
    """After how long a status that carries a RetryInfo asks to try again."""
    detail = RetryInfo()
    for packed in status.details:
        if packed.Unpack(detail):
            return float(detail.retry_delay.ToNanoseconds() / 1e9)
    return None


def number_of(code: grpc.StatusCode) -> int:
    number: int = code.value[0]
    return number


def code_of(number: int) -> grpc.StatusCode:
    return _CODES.get(number, grpc.StatusCode.UNKNOWN)


_CODES = {number_of(code): code for code in grpc.StatusCode}


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _packed(detail: ErrorInfo | BadRequest | RetryInfo) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
