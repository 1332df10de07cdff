"""The one method of Stats that a recorder calls, done as it is told, over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc

from service_kit.grpc_channel import open_channel
from service_kit.pb.stats import stats_pb2
from tests.grpc_options import SERVER_OPTIONS

#: What answers one batch; it may wait, or abort the call.
Script = Callable[[stats_pb2.RecordRequest, Any], Awaitable[None]]


class ScriptedStats:
    """Puts every batch that arrives into a queue, follows its script, then counts by source and sequence.

    A batch that breaks the contract is refused, so that its sender counts it as dropped.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._arrived: asyncio.Queue[stats_pb2.RecordRequest] = asyncio.Queue()
        self._sequences: dict[str, int] = {}
        self.applied: list[stats_pb2.RecordRequest] = []

    async def RecordNo(self, request: stats_pb2.RecordRequest, context: Any) -> stats_pb2.RecordResponse:
        self._arrived.put_nowait(request)
        await self._script(request, context)
        if broken := breaches(request):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, ", ".join(broken))
        duplicate = request.sequence <= self._sequences.get(request.source, 0)
        if not duplicate:
            self._sequences[request.source] = request.sequence
            self.applied.append(request)
        return stats_pb2.RecordResponse(success=True, duplicate=duplicate)

    async def next_batch(self) -> stats_pb2.RecordRequest:
        async with asyncio.timeout(30):
            return await self._arrived.get()

    def batches(self) -> list[stats_pb2.RecordRequest]:
        """What arrived and was not asked for yet."""
        return [self._arrived.get_nowait() for _ in range(self._arrived.qsize())]

    @property
    def counted(self) -> int:
        return sum(record.count for batch in self.applied for record in batch.records)


def breaches(batch: stats_pb2.RecordRequest) -> list[str]:
    """What of stats.proto a batch with a source does not keep."""
    rules = {
        "size": 1 <= len(batch.records) + len(batch.errors) + len(batch.operations) <= 1_000,
        "records": _rise([record.n for record in batch.records]),
        "errors": _rise([(error.n, error.kind) for error in batch.errors]),
        "operations": _rise([operation.operation for operation in batch.operations]),
        "time": batch.start_time.ToNanoseconds() <= batch.end_time.ToNanoseconds(),
        "histograms": all(map(_adds_up, batch.records)),
        "counts": all(count >= 1 for count in _counts(batch)),
    }
    return [name for name, kept in rules.items() if not kept]


def _rise(keys: Sequence[Any]) -> bool:
    return all(keys[place - 1] < keys[place] for place in range(1, len(keys)))


def _adds_up(record: stats_pb2.NumberRecord) -> bool:
    """Without a histogram there is nothing to add up."""
    if not record.buckets and not record.bucket_counts:
        return True
    paired = len(record.buckets) == len(record.bucket_counts)
    return paired and _rise(record.buckets) and sum(record.bucket_counts) == record.count


def _counts(batch: stats_pb2.RecordRequest) -> Iterator[int]:
    yield from (record.count for record in batch.records)
    yield from (error.count for error in batch.errors)
    yield from (operation.count for operation in batch.operations)


async def accept(_request: stats_pb2.RecordRequest, _context: Any) -> None:
    """The script of a service that is well."""


async def hang(_request: stats_pb2.RecordRequest, _context: Any) -> None:
    await asyncio.Event().wait()


class Gate:
    """A script that lets no batch through before it is opened."""

    def __init__(self) -> None:
        self._opened = asyncio.Event()

    async def __call__(self, _request: stats_pb2.RecordRequest, _context: Any) -> None:
        await self._opened.wait()

    def open(self) -> None:
        self._opened.set()


@asynccontextmanager
async def listening(
    servicer: ScriptedStats, address: str, *, add: Callable[[grpc.aio.Server], None] = lambda _server: None
) -> AsyncIterator[int]:
    """Serves on the address, with whatever else is added, and yields the port."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    record_no = grpc.unary_unary_rpc_method_handler(
        servicer.RecordNo,
        request_deserializer=stats_pb2.RecordRequest.FromString,
        response_serializer=stats_pb2.RecordResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("stats.Stats", {"RecordNo": record_no})])
    add(server)
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@asynccontextmanager
async def served(servicer: ScriptedStats) -> AsyncIterator[grpc.aio.Channel]:
    """Serves on a free port, and yields a channel to it."""
    async with listening(servicer, "127.0.0.1:0") as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield channel
