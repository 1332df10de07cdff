"""Puts code around what answers a gRPC method, of whichever kind the method is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import grpc

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
    Answer = Callable[[Any, Context], Awaitable[Any]]
    Answers = Callable[[Any, Context], AsyncGenerator[Any, None]]


def wrapped(
    handler: Handler,
    *,
    one: Callable[[Answer], Answer],
    stream: Callable[[Answers], Answers],
    exchange: Callable[[Answers], Answers] = lambda answers: answers,
    decode: Callable[[bytes], Any] | None = None,
) -> Handler:
    """The handler with its method inside what is given for its kind: one answer, a stream, or one for each message.

    `decode` takes the place of its own reader of requests.
    """
    decode, encode = decode or handler.request_deserializer, handler.response_serializer
    if handler.unary_unary is not None:
        answer = one(cast("Answer", handler.unary_unary))
        return grpc.unary_unary_rpc_method_handler(answer, decode, encode)
    if handler.unary_stream is not None:
        answers = stream(cast("Answers", handler.unary_stream))
        return grpc.unary_stream_rpc_method_handler(answers, decode, encode)
    exchanged = exchange(cast("Answers", handler.stream_stream))
    return grpc.stream_stream_rpc_method_handler(exchanged, decode, encode)
