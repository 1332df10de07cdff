"""Makes one BatchGetFib of the requests that arrive while another is in flight.

What an RPC costs is the call, not the numbers in it, so under load one call carries many requests.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from api_gateway.errors import ServiceUnavailable, UpstreamError
from service_kit.pb.fibonacci.fib_pb2 import (
    BatchGetFibItem,
    BatchGetFibRequest,
    BatchGetFibResponse,
    FibonacciRequest,
    FibonacciResponse,
)
from service_kit.request_id import METADATA_KEY, current_request_id

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

MAX_BATCH_ITEMS = 256
#: While one batch is answered the next gathers; a second one in flight keeps a slow answer from holding up the
#: rest, and more bring nothing.
MAX_IN_FLIGHT = 2


@dataclass(slots=True, eq=False)
class _Waiting:
    item: BatchGetFibItem
    deadline: float
    answer: "asyncio.Future[FibonacciResponse]"


class Coalescer:
    """A request that is cancelled before its batch leaves is not sent."""

    def __init__(self, *, stub: "FibonacciAsyncStub", service: str, max_waiting: int) -> None:
        self._stub = stub
        self._service = service
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._sending: set[asyncio.Task[None]] = set()

    async def get(self, request: FibonacciRequest, deadline: float) -> FibonacciResponse:
        """The answer to one request by a deadline of the loop's clock. Raises UpstreamError or ServiceUnavailable."""
        if len(self._waiting) >= self._max_waiting:
            raise ServiceUnavailable(self._service)
        item = BatchGetFibItem(request=request, request_id=current_request_id.get())
        waiting = _Waiting(item, deadline, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if len(self._sending) < MAX_IN_FLIGHT:
            task = asyncio.create_task(self._send_waiting())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
        return await waiting.answer

    async def _send_waiting(self) -> None:
        while batch := self._next_batch():
            try:
                await self._send(batch)
            except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
                _fail(batch, error)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < MAX_BATCH_ITEMS:
            waiting = self._waiting.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch

    async def _send(self, batch: list[_Waiting]) -> None:
        deadline = max(waiting.deadline for waiting in batch)
        try:
            response = await self._stub.BatchGetFib(
                BatchGetFibRequest(items=[waiting.item for waiting in batch]),
                timeout=deadline - asyncio.get_running_loop().time(),
                wait_for_ready=True,
                metadata=((METADATA_KEY, batch[0].item.request_id),),
            )
        except grpc.aio.AioRpcError as error:
            raise UpstreamError.from_call(error) from None
        _settle(batch, response)


def _settle(batch: list[_Waiting], response: BatchGetFibResponse) -> None:
    # A list first: an answer of another length is nobody's, not the first ones'.
    for waiting, result in list(zip(batch, response.results, strict=True)):
        if waiting.answer.done():
            continue
        if result.HasField("error"):
            waiting.answer.set_exception(UpstreamError.from_status(result.error))
        else:
            waiting.answer.set_result(result.response)


def _fail(batch: list[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.answer.done():
            waiting.answer.set_exception(error)
