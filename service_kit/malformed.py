"""Requests whose bytes are no message of the method's type: gRPC would answer with the name of an exception."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.message import DecodeError
from grpc_status.rpc_status import to_status

from service_kit.errors import ServiceError
from service_kit.rpc_status import status_of

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    from service_kit.rpc_handlers import Context, Handler


class MessageMalformed(ServiceError):
    """The bytes of a request are no message of the method's type."""

    reason = "MESSAGE_MALFORMED"

    def __init__(self) -> None:
        super().__init__("the request is not a message of this method's type")


def decoded_or_none(handler: Handler) -> Callable[[bytes], Any]:
    """As the handler reads its requests, but None for bytes that are no message."""
    deserialize = handler.request_deserializer or bytes

    def decode(serialized: bytes) -> Any:
        try:
            return deserialize(serialized)
        except DecodeError:
            return None

    return decode


def decoded(request: Any) -> Any:
    """Raises MessageMalformed for what could not be read."""
    if request is None:
        raise MessageMalformed
    return request


async def refuse_malformed(context: Context) -> NoReturn:
    """For a call around which no error of ours becomes a status."""
    rich = to_status(status_of(MessageMalformed(), {MessageMalformed: grpc.StatusCode.INVALID_ARGUMENT}))
    await context.abort(rich.code, rich.details, rich.trailing_metadata)
