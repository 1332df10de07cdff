"""What a service tells of its records: to whom asks for them, and to stats_service."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from fibonacci_service.app import running
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats import stats_pb2
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.processes import LONG, Processes, kill, until_killed
from tests.fibonacci_service.scripted_stats import Gate, ScriptedStats, accept, listening
from tests.refusal import refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

DEAR = fib_pb2.FibonacciRequest(n=LONG, encoding=fib_pb2.DECIMAL)
#: Only leaving sends.
AT_THE_END = {"stats_interval_seconds": 60, "stats_flush_seconds": 30}


@asynccontextmanager
async def reporting(servicer: ScriptedStats, **changes: Any) -> AsyncIterator["FibonacciAsyncStub"]:
    """A stub of a service that reports to the given one."""
    async with listening(servicer, "127.0.0.1:0") as stats_port:
        settings = settings_of(stats_target=f"127.0.0.1:{stats_port}", **changes)
        async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
            yield FibonacciStub(channel)


async def ask(stub: "FibonacciAsyncStub", indices: range) -> None:
    for n in indices:
        await stub.GetFib(fib_pb2.FibonacciRequest(n=n % 90))


def adds_up(answer: fib_pb2.RecorderResponse) -> bool:
    return answer.served == answer.recorded + answer.pending + answer.dropped


async def test_get_recorder_adds_up_at_every_instant_while_batches_come_and_go() -> None:
    holding = asyncio.Semaphore(0)

    async def hold(_request: stats_pb2.RecordRequest, _context: Any) -> None:
        await holding.acquire()

    servicer, samples = ScriptedStats(hold), list[fib_pb2.RecorderResponse]()
    async with reporting(servicer, stats_interval_seconds=0.001, stats_flush_seconds=30) as stub:
        await ask(stub, range(1))
        await servicer.next_batch()
        await ask(stub, range(1))
        holding.release()
        await servicer.next_batch()  # so the one before is acknowledged, and this one is held
        samples.append(await stub.GetRecorder(Empty()))
        asking = [asyncio.create_task(ask(stub, range(first, first + 50))) for first in range(0, 200, 50)]
        while not all(task.done() for task in asking) or samples[-1].pending:
            samples.append(await stub.GetRecorder(Empty()))
            if len(samples) % 3 == 0:
                holding.release()
        await asyncio.gather(*asking)

    assert all(map(adds_up, samples))
    assert [sample.served for sample in samples] == sorted(sample.served for sample in samples)
    assert (samples[0].served, samples[0].recorded, samples[0].pending) == (2, 1, 1)
    assert (samples[-1].served, samples[-1].recorded, samples[-1].pending) == (202, 202, 0)


async def test_get_recorder_counts_what_was_dropped() -> None:
    async with reporting(ScriptedStats(accept), stats_max_pending=2, **AT_THE_END) as stub:
        await ask(stub, range(5))
        answer = await stub.GetRecorder(Empty())

    assert (answer.served, answer.recorded, answer.pending, answer.dropped) == (5, 0, 2, 3)


async def test_get_recorder_names_the_source_of_the_batches() -> None:
    servicer = ScriptedStats(accept)
    async with reporting(servicer, **AT_THE_END) as stub:
        await ask(stub, range(1))
        source = (await stub.GetRecorder(Empty())).source

    assert [batch.source for batch in servicer.applied] == [source]


async def test_get_recorder_says_what_is_on_its_way_while_it_is() -> None:
    gate = Gate()
    servicer = ScriptedStats(gate)
    async with reporting(servicer, stats_interval_seconds=0.001, stats_flush_seconds=30) as stub:
        await ask(stub, range(1))
        await servicer.next_batch()
        answer = await stub.GetRecorder(Empty())
        gate.open()

    assert (answer.served, answer.recorded, answer.pending, answer.dropped) == (1, 0, 1, 0)


async def test_every_kind_of_failure_is_told(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    servicer = ScriptedStats(accept)
    async with reporting(servicer, workers=1, workers_max_queued_seconds=0, max_n=LONG, **AT_THE_END) as stub:
        lost = asyncio.ensure_future(refusal_of(stub.GetFib(DEAR)))
        kill(await processes.next())
        await lost
        left = stub.GetFib(DEAR)
        process = await processes.next_held()
        await refusal_of(stub.GetFib(fib_pb2.FibonacciRequest(n=LONG - 1, encoding=fib_pb2.DECIMAL)))
        left.cancel()
        await until_killed(process)
        with monkeypatch.context() as patch:
            patch.setattr("fibonacci_service.calculator.encoded_value", None)
            with pytest.raises(grpc.aio.AioRpcError):
                await stub.GetFib(fib_pb2.FibonacciRequest(n=7))
        await refusal_of(stub.GetFib(fib_pb2.FibonacciRequest(n=-1)))

    [batch] = servicer.applied
    assert [(error.n, error.kind, error.count) for error in batch.errors] == [
        (7, stats_pb2.INTERNAL, 1),
        (LONG - 1, stats_pb2.WORKERS_BUSY, 1),
        (LONG, stats_pb2.WORKER_LOST, 1),
        (LONG, stats_pb2.CANCELLED, 1),
    ]
    assert [*batch.records] == []


async def test_answers_say_where_they_came_from() -> None:
    servicer = ScriptedStats(accept)
    dear = fib_pb2.FibonacciRequest(n=200_000, encoding=fib_pb2.DECIMAL)
    async with reporting(servicer, **AT_THE_END) as stub:
        items = [fib_pb2.BatchGetFibItem(request=dear)] * 3
        await stub.BatchGetFib(fib_pb2.BatchGetFibRequest(items=items))
        await stub.GetFib(dear)

    [record] = servicer.applied[0].records
    assert (record.count, record.cache_hits, record.coalesced) == (4, 1, 2)
    assert sum(record.bucket_counts) == 4


async def test_ranges_residues_and_descriptions_are_told_as_operations_and_refused_ones_are_not() -> None:
    servicer = ScriptedStats(accept)
    async with reporting(servicer, **AT_THE_END) as stub:
        for _ in range(3):
            [_ async for _ in stub.StreamRange(fib_pb2.StreamRangeRequest(start=0, count=10))]
        for _ in range(2):
            await stub.GetResidue(fib_pb2.GetResidueRequest(n="10", modulus="7"))
        await stub.DescribeFib(fib_pb2.DescribeFibRequest(n="100"))
        await refusal_of(stub.GetResidue(fib_pb2.GetResidueRequest(n="10", modulus="0")))
        await refusal_of(stub.DescribeFib(fib_pb2.DescribeFibRequest(n="x")))

    [batch] = servicer.applied
    operations = [(operation.operation, operation.count) for operation in batch.operations]
    assert operations == [(stats_pb2.RANGE, 3), (stats_pb2.RESIDUE, 2), (stats_pb2.DESCRIPTION, 1)]
    assert ([*batch.records], [*batch.errors]) == ([], [])
