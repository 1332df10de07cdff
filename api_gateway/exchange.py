"""One long call to fibonacci_service, over which one batch goes after another."""

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import grpc

from api_gateway.batch_traces import attempt_span
from api_gateway.errors import UpstreamError
from service_kit.pb.fibonacci.fib_pb2 import ExchangeFibRequest, ExchangeFibResponse
from service_kit.request_id import METADATA_KEY, current_request_id, new_request_id

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

#: How long a call stays open. Each new one goes to the next server that serves, so that every replica gets its turn,
#: and one that has come back soon has work again. To open a call takes as long as one or two batches.
CALL_SECONDS = 1.0


class Exchange:
    """Opens its call when it is needed and again when it ends. `source` names its batches to fibonacci_service.

    A call has an id of its own, under which both sides log what becomes of it. A batch that fails tries again over
    calls of the same id, so `call_id` leads to all its attempts.
    """

    def __init__(self, *, stub: "FibonacciAsyncStub") -> None:
        self._stub = stub
        self._call: Any = None
        self._ending: Any = None
        self._open_until = 0.0
        self.source = new_request_id()
        self.call_id = ""

    def begin_batch(self) -> None:
        """Before the first attempt: the call that is open takes it, or one with a new id will."""
        if not self._is_open():
            self.call_id = new_request_id()
            current_request_id.set(self.call_id)

    async def answer(self, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        """One attempt. Raises UpstreamError."""
        try:
            with attempt_span(batch):
                response = await self._exchanged(await self._open_call(), batch)
        except BaseException:
            self.close()
            raise
        if response.sequence != batch.sequence:
            self.close()
            raise ValueError(f"batch {batch.sequence} was answered with batch {response.sequence}")
        return response

    def close(self) -> None:
        for call in (self._call, self._ending):
            if call is not None:
                call.cancel()
        self._call = self._ending = None

    async def _open_call(self) -> Any:
        if not self._is_open():
            await self._replace()
            self._call = self._stub.ExchangeFib(wait_for_ready=True, metadata=((METADATA_KEY, self.call_id),))
            self._open_until = asyncio.get_running_loop().time() + CALL_SECONDS
        return self._call

    def _is_open(self) -> bool:
        return (
            self._call is not None and not self._call.done() and asyncio.get_running_loop().time() <= self._open_until
        )

    async def _replace(self) -> None:
        """Says at the old call that no more comes, and gives its server until the next time to end it.

        A server whose read is cancelled does not get all of its memory back from grpcio, some 110 bytes each time.
        """
        if self._ending is not None:
            self._ending.cancel()
        self._ending, self._call = self._call, None
        if self._ending is not None:
            with contextlib.suppress(grpc.aio.BaseError):  # it has ended by itself
                await self._ending.done_writing()

    async def _exchanged(self, call: Any, batch: ExchangeFibRequest) -> ExchangeFibResponse:
        try:
            await call.write(batch)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            # gRPC says INTERNAL of what it could not write, whatever the status that the server ended the call with.
            raise UpstreamError(grpc.StatusCode.UNAVAILABLE, "the call ended before the batch was sent") from None
        try:
            response = await call.read()
        except grpc.aio.AioRpcError as error:
            raise UpstreamError.from_call(error) from None
        if response is grpc.aio.EOF:
            raise UpstreamError(grpc.StatusCode.UNAVAILABLE, "the call ended before the batch was answered")
        return cast("ExchangeFibResponse", response)
