"""What keeps the gateway from answering, as facts; problems.py says them to the client."""

from collections.abc import Sequence

import grpc
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import from_call

from service_kit.rpc_status import code_of, field_violations, retry_delay_seconds

#: Names of fields, each with what is allowed in it.
FieldErrors = Sequence[tuple[str, str]]


class ServiceUnavailable(Exception):
    """A service could not be reached within the deadline, or too many requests wait for it already.

    `cause` is for the log: a client learns no more than the text of the error.
    """

    def __init__(self, service: str, cause: str) -> None:
        super().__init__(f"{service} is not available")
        self.service = service
        self.cause = cause


class TimeoutOutOfBounds(Exception):
    """A request header gives a time for the answer that is no whole number of milliseconds, or too long."""

    def __init__(self, header: str, *, max_milliseconds: int) -> None:
        super().__init__(f"{header} is not an integer from 1 to {max_milliseconds}")
        self.header = header
        self.max_milliseconds = max_milliseconds


class TooManyStreams(Exception):
    """As many streams are open as may be."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"there are {limit} streams already, as many as may be")
        self.limit = limit


class RateLimited(Exception):
    """A client asks more often than it may."""

    def __init__(self, rate: str, *, retry_after_seconds: int) -> None:
        super().__init__(f"more requests came from this client than {rate} allows")
        self.rate = rate
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceeded(Exception):
    """A service was reached and did not answer within the deadline. `cause` is for the log."""

    def __init__(self, service: str, cause: str) -> None:
        super().__init__(f"{service} did not answer in time")
        self.service = service
        self.cause = cause


class UpstreamError(Exception):
    """A service answered with an error: of a whole call or of one item of a batch.

    `retry_delay_seconds` is after how long it asks to try again, where it says so. Whoever knows which `service` it was
    sets it.
    """

    service = ""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        fields: FieldErrors = (),
        *,
        retry_delay_seconds: float | None = None,
    ) -> None:
        super().__init__(f"{code.name}: {message}")
        self.retry_delay_seconds = retry_delay_seconds
        self.code = code
        self.message = message
        self.fields = fields

    @classmethod
    def from_call(cls, error: grpc.aio.AioRpcError) -> "UpstreamError":
        """The error of a call. A CANCELLED that we did not ask for is a stopping server's UNAVAILABLE."""
        code = error.code()
        if code is grpc.StatusCode.CANCELLED:
            code = grpc.StatusCode.UNAVAILABLE
        status = from_call(error) or Status()
        return cls(
            code,
            error.details() or "",
            _field_errors(status),
            retry_delay_seconds=retry_delay_seconds(status),
        )

    def at(self, place: str) -> "UpstreamError":
        """The same error; a field at fault goes by another name in the request that the caller sent."""
        if not self.fields:
            return self
        named = f"{self.fields[0][0]} "
        begins = self.message.startswith(named)
        message = f"{place} {self.message.removeprefix(named)}" if begins else f"{place}: {self.message}"
        return self.reworded(message, [(place, allowed) for _, allowed in self.fields])

    def reworded(self, message: str, fields: FieldErrors) -> "UpstreamError":
        error = UpstreamError(self.code, message, fields, retry_delay_seconds=self.retry_delay_seconds)
        error.service = self.service
        return error

    @classmethod
    def from_status(cls, status: Status) -> "UpstreamError":
        return cls(
            code_of(status.code),
            status.message,
            _field_errors(status),
            retry_delay_seconds=retry_delay_seconds(status),
        )


def _field_errors(status: Status) -> FieldErrors:
    """What a service says of a field begins with its name, which a problem has beside it."""
    return [(field, text.removeprefix(f"{field} ")) for field, text in field_violations(status)]


class BrokenOff(Exception):
    """An answer stopped after its first byte was sent: no status can say so, only a connection that breaks."""

    def __init__(self, service: str, cause: str) -> None:
        super().__init__(f"{service} broke off: {cause}")
        self.service = service
        self.cause = cause


class ClientGone(Exception):
    """The client closed its connection before it had its answer."""

    def __init__(self) -> None:
        super().__init__("the client closed its connection")


class ReaderTooSlow(Exception):
    """The client took too little of its answer in the time that it has for that, and its connection was broken off."""

    def __init__(self) -> None:
        super().__init__("the client did not take its answer in time")


class NotAcceptable(Exception):
    """A request header takes none of the forms in which the resource can be sent."""

    def __init__(self, header: str, offers: Sequence[str]) -> None:
        super().__init__(f"{header} takes none of what can be sent: {', '.join(offers)}")
        self.header = header
        self.offers = offers


class UnsupportedMediaType(Exception):
    """A body says of itself, in one of its header fields, that it is what cannot be read here.

    `told_in` is the field of the answer that says what can be (RFC 9110, 15.5.16).
    """

    def __init__(self, header: str, offer: str, *, told_in: str) -> None:
        super().__init__(f"{header} is not {offer}")
        self.header = header
        self.offer = offer
        self.told_in = told_in


class PreconditionFailed(Exception):
    """A request is only to be answered with bytes that are not those there are."""

    def __init__(self, header: str) -> None:
        super().__init__(f"{header} does not name the entity tag of the answer")
        self.header = header


class RangeNotSatisfiable(Exception):
    """The range that was asked for has none of the bytes that there are."""

    def __init__(self, total_bytes: int) -> None:
        super().__init__(f"the range has none of the {total_bytes} bytes")
        self.total_bytes = total_bytes


def mark_batch(error: Exception, batch_id: str) -> None:
    """Says in which batch an error arose, whatever error it is."""
    vars(error)["batch_id"] = batch_id


def batch_of(error: Exception) -> str:
    """The id of the batch that it arose in; empty for any other error."""
    return str(vars(error).get("batch_id", ""))
