"""Puts code around what answers a gRPC method, of whichever kind the method is."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, cast

import grpc

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
    Answer = Callable[[Any, Context], Awaitable[Any]]
    Answers = Callable[[Any, Context], AsyncGenerator[Any, None]]
    #: What writes its answers itself.
    Writer = Callable[[Any, Context], Awaitable[None]]


def wrapped(
    handler: Handler,
    *,
    one: Callable[[Answer], Answer],
    stream: Callable[[Answers], Answers | Writer],
    exchange: Callable[[Answers], Answers | Writer] = lambda answers: answers,
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


class WrittenStreams(grpc.aio.ServerInterceptor):
    """Stands outside all others, and writes what their generators yield.

    gRPC would take from them itself, and leave one whose client is gone until it is collected: its end, with the line
    and the span of the call, would come at any time and in no context. This way it comes with the call's.
    """

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        return handler and wrapped(handler, one=lambda answer: answer, stream=written, exchange=written)


def written(answers: Answers) -> Answers | Writer:
    """Writes what a generator yields; what writes by itself stays as it is."""
    if inspect.iscoroutinefunction(answers):
        return answers

    async def call(request: Any, context: Context) -> None:
        async with contextlib.aclosing(answers(request, context)) as stream:
            async for response in stream:
                await context.write(response)

    return call
