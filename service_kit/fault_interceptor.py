"""Injects faults into the calls that a gRPC server answers, where its settings say so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, assert_never

import grpc

from service_kit.errors import ServiceError
from service_kit.faults import ErrorCode, FaultInjector
from service_kit.interceptors import note
from service_kit.rpc_handlers import wrapped
from service_kit.rpc_status import StatusTable

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    from service_kit.rpc_handlers import Answer, Answers, Context, Handler


class ErrorInjected(ServiceError):
    reason = "FAULT_ERROR"

    def __init__(self) -> None:
        super().__init__("this error was injected")


class AbortInjected(ServiceError):
    reason = "FAULT_ABORT"

    def __init__(self) -> None:
        super().__init__("this abort was injected")


def fault_statuses(error_code: ErrorCode) -> StatusTable:
    """What the injected errors are to a client: an abort is what gRPC makes of a connection that breaks."""
    return {ErrorInjected: grpc.StatusCode[error_code], AbortInjected: grpc.StatusCode.UNAVAILABLE}


class FaultInterceptor(grpc.aio.ServerInterceptor):
    """Acts before the servicer does: on a call, and on each message of one that takes one after another.

    It stands inside ServerInterceptor, which gives each fault its status and its place in the log line. Health
    checks pass untouched, and so do the methods in `spared`.
    """

    def __init__(self, *, injector: FaultInjector, spared: frozenset[str] = frozenset()) -> None:
        self._injector = injector
        self._spared = spared

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.startswith("/grpc.") or method in self._spared:
            return handler
        return wrapped(handler, one=self._wrap, stream=self._wrap_stream, exchange=self._wrap_exchange)

    def _wrap(self, answer: Answer) -> Answer:
        async def call(request: Any, context: Context) -> Any:
            await self._inject()
            return await answer(request, context)

        return call

    def _wrap_stream(self, answers: Answers) -> Answers:
        async def call(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            await self._inject()
            async with contextlib.aclosing(answers(request, context)) as stream:
                async for response in stream:
                    yield response

        return call

    def _wrap_exchange(self, answers: Answers) -> Answers:
        async def call(requests: Any, context: Context) -> AsyncGenerator[Any, None]:
            async with (
                contextlib.aclosing(self._injected(requests)) as injected,
                contextlib.aclosing(answers(injected, context)) as stream,
            ):
                async for response in stream:
                    yield response

        return call

    async def _injected(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async for request in requests:
            await self._inject()
            yield request

    async def _inject(self) -> None:
        fault = self._injector.draw()
        if fault is None:
            return
        note(fault=str(fault))
        await asyncio.sleep(fault.delay_seconds)
        match fault.ending:
            case None:
                return
            case "error":
                raise ErrorInjected
            case "abort":
                raise AbortInjected
            case _:
                assert_never(fault.ending)
