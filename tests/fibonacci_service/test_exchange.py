from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty

from fibonacci_service.app import running
from fibonacci_service.exchange import MAX_SOURCES
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import BIG_ENDIAN, DECIMAL, ExchangeFibRequest, ExchangeFibResponse
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.rpc_status import code_of, field_violations
from tests.fibonacci_service.conftest import settings_of
from tests.refusal import refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub


def batch(*indices: int, **fields: Any) -> ExchangeFibRequest:
    return ExchangeFibRequest(n=indices, encodings=[DECIMAL] * len(indices), **fields)


async def exchanged(stub: "FibonacciAsyncStub", *batches: ExchangeFibRequest) -> list[ExchangeFibResponse]:
    """The answers to some batches over one call of their own."""

    async def each() -> AsyncIterator[ExchangeFibRequest]:
        for one in batches:
            yield one

    return [response async for response in stub.ExchangeFib(each())]


async def served(stub: "FibonacciAsyncStub") -> int:
    return (await stub.GetRecorder(Empty())).served


async def test_batches_are_answered_in_order_and_their_numbers_too(stub: "FibonacciAsyncStub") -> None:
    mixed = ExchangeFibRequest(sequence=2, n=[10, 10, 300], encodings=[DECIMAL, BIG_ENDIAN, DECIMAL])
    first, second = await exchanged(stub, batch(0, 92, sequence=1), mixed)

    assert first == ExchangeFibResponse(sequence=1, values=[b"0", b"7540113804746346429"])
    assert (second.sequence, second.values[:2], len(second.values[2])) == (2, [b"55", b"7"], 63)


async def test_a_number_that_is_refused_has_its_error_beside_the_answers_to_the_rest(
    stub: "FibonacciAsyncStub",
) -> None:
    [response] = await exchanged(stub, batch(10, -1, 10_000_001, 20))

    assert response.values == [b"55", b"", b"", b"6765"]
    assert sorted(response.errors) == [1, 2]
    assert code_of(response.errors[1].code) is grpc.StatusCode.INVALID_ARGUMENT
    assert [field for field, _ in field_violations(response.errors[2])] == ["n"]
    assert await served(stub) == 2


async def test_a_batch_that_is_sent_again_is_answered_alike_and_counted_once(stub: "FibonacciAsyncStub") -> None:
    one = batch(10, 20, source="gateway-1", sequence=7)

    first, again = [(await exchanged(stub, one))[0] for _ in range(2)]

    assert first == again
    assert await served(stub) == 2


async def test_only_the_same_source_and_sequence_are_the_same_batch(stub: "FibonacciAsyncStub") -> None:
    names = [("a", 1), ("b", 1), ("b", 2), ("a", 2)]
    await exchanged(stub, *(batch(10, source=source, sequence=sequence) for source, sequence in names))

    assert await served(stub) == len(names)


async def test_a_batch_without_a_source_is_new_whenever_it_comes(stub: "FibonacciAsyncStub") -> None:
    await exchanged(stub, *[batch(10, sequence=7)] * 3)

    assert await served(stub) == 3


async def test_the_sources_that_were_heard_of_longest_ago_are_forgotten(stub: "FibonacciAsyncStub") -> None:
    await exchanged(stub, *(batch(10, source=f"s-{number}", sequence=1) for number in range(MAX_SOURCES + 1)))
    await exchanged(stub, batch(10, source="s-1", sequence=1), batch(10, source="s-0", sequence=1))

    assert await served(stub) == MAX_SOURCES + 2


@pytest.mark.parametrize(
    ("columns", "field"),
    [
        ({"encodings": [DECIMAL]}, "encodings"),
        ({"encodings": [DECIMAL] * 3}, "encodings"),
        ({"encodings": [DECIMAL] * 2, "request_ids": ["a"]}, "request_ids"),
        ({"encodings": [DECIMAL] * 2, "request_ids": ["a", "b", "c"]}, "request_ids"),
    ],
)
async def test_columns_of_different_lengths_are_refused(
    stub: "FibonacciAsyncStub", columns: dict[str, Any], field: str
) -> None:
    refusal = await refusal_of(exchanged(stub, ExchangeFibRequest(n=[1, 2], **columns)))

    assert (refusal.code, refusal.reason, refusal.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "COLUMNS_DIFFER",
        field,
    )
    assert refusal.facts == {"size": str(len(columns[field])), "items": "2"}


async def test_each_number_has_a_line_with_the_id_of_its_request() -> None:
    with structlog.testing.capture_logs() as lines:
        async with running(settings_of(log_requests="all")) as port, open_channel(f"127.0.0.1:{port}") as channel:
            await exchanged(FibonacciStub(channel), batch(10, -1, request_ids=["followed-1", "followed-2"]))

    items = [line for line in lines if line["event"] == "item.served"]
    assert [(line["request_id"], line["n"]) for line in items] == [("followed-1", 10), ("followed-2", -1)]
    assert (items[0]["cached"], "-1" in items[1]["error"]) == (False, True)
