from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fibonacci_service.app import running
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.requests import ask, batch
from tests.refusal import refusal_in, refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

INVALID, OUT_OF_RANGE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE
DECIMAL, BIG_ENDIAN = fib_pb2.DECIMAL, fib_pb2.BIG_ENDIAN


@pytest.mark.parametrize(("n", "x"), [(0, 0), (1, 1), (10, 55), (92, 7540113804746346429)])
async def test_get_fib_without_an_encoding_answers_in_x_alone(stub: "FibonacciAsyncStub", n: int, x: int) -> None:
    assert await stub.GetFib(ask(n)) == fib_pb2.FibonacciResponse(x=x)


async def test_get_fib_with_an_encoding_answers_in_value_and_while_it_fits_in_x(stub: "FibonacciAsyncStub") -> None:
    assert await stub.GetFib(ask(10, DECIMAL)) == fib_pb2.FibonacciResponse(x=55, value=b"55")
    assert await stub.GetFib(ask(10, BIG_ENDIAN)) == fib_pb2.FibonacciResponse(x=55, value=b"7")


async def test_get_fib_answers_past_int64_in_value_alone(stub: "FibonacciAsyncStub") -> None:
    assert await stub.GetFib(ask(93, DECIMAL)) == fib_pb2.FibonacciResponse(value=b"12200160415121876738")


async def test_get_fib_answers_a_long_number_in_both_encodings_alike(stub: "FibonacciAsyncStub") -> None:
    decimal = await stub.GetFib(ask(100_000, DECIMAL))
    binary = await stub.GetFib(ask(100_000, BIG_ENDIAN))

    assert len(decimal.value) == 20_899
    assert int.from_bytes(binary.value, "big") % 10**9 == int(decimal.value[-9:])
    assert int.from_bytes(binary.value, "big") // 10**20_890 == int(decimal.value[:9])


async def test_get_fib_without_an_encoding_says_how_to_ask_past_int64(stub: "FibonacciAsyncStub") -> None:
    refusal = await refusal_of(stub.GetFib(ask(93)))

    assert (refusal.code, refusal.reason, refusal.field) == (OUT_OF_RANGE, "ENCODING_NEEDED", "encoding")
    assert refusal.message == (
        "F(93) does not fit x, which ends at n = 92: set encoding to DECIMAL or BIG_ENDIAN and read value"
    )
    assert refusal.facts == {"n": "93"}


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ask(-1, DECIMAL), ("INDEX_NEGATIVE", "n", {"n": "-1"})),
        (ask(10_000_001, DECIMAL), ("INDEX_TOO_LARGE", "n", {"n": "10000001", "limit": "10000000"})),
        (ask(2**31 - 1), ("INDEX_TOO_LARGE", "n", {"n": "2147483647", "limit": "10000000"})),
        (ask(10, 3), ("ENCODING_UNKNOWN", "encoding", {"number": "3"})),
        (ask(10, -1), ("ENCODING_UNKNOWN", "encoding", {"number": "-1"})),
    ],
)
async def test_get_fib_refuses_what_is_outside_its_bounds(
    stub: "FibonacciAsyncStub", request_: fib_pb2.FibonacciRequest, expected: tuple[str, str, dict[str, str]]
) -> None:
    refusal = await refusal_of(stub.GetFib(request_))

    assert refusal.code is INVALID
    assert (refusal.reason, refusal.field, refusal.facts) == expected
    assert all(fact in refusal.message for fact in refusal.facts.values())


async def test_get_fib_refuses_an_index_above_the_limit_that_is_set() -> None:
    async with running(settings_of(max_n=92)) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = FibonacciStub(channel)
        assert (await stub.GetFib(ask(92))).x == 7540113804746346429

        assert (await refusal_of(stub.GetFib(ask(93)))).reason == "INDEX_TOO_LARGE"


async def test_batch_get_fib_answers_in_the_order_asked(stub: "FibonacciAsyncStub") -> None:
    answer = await stub.BatchGetFib(batch(ask(20), ask(10, DECIMAL), ask(100, BIG_ENDIAN), ask(10)))

    assert [result.response for result in answer.results] == [
        fib_pb2.FibonacciResponse(x=6765),
        fib_pb2.FibonacciResponse(x=55, value=b"55"),
        fib_pb2.FibonacciResponse(value=(354224848179261915075).to_bytes(9, "big")),
        fib_pb2.FibonacciResponse(x=55),
    ]


async def test_batch_get_fib_answers_beside_the_items_that_fail(stub: "FibonacciAsyncStub") -> None:
    answer = await stub.BatchGetFib(batch(ask(10), ask(-1), ask(93), ask(10_000_001, DECIMAL), ask(20)))

    kinds = [result.WhichOneof("result") for result in answer.results]
    refusals = [refusal_in(result.error) for result in answer.results if result.HasField("error")]
    assert kinds == ["response", "error", "error", "error", "response"]
    assert [(refusal.code, refusal.reason, refusal.field) for refusal in refusals] == [
        (INVALID, "INDEX_NEGATIVE", "n"),
        (OUT_OF_RANGE, "ENCODING_NEEDED", "encoding"),
        (INVALID, "INDEX_TOO_LARGE", "n"),
    ]


async def test_batch_get_fib_refuses_a_batch_of_too_many_items(stub: "FibonacciAsyncStub") -> None:
    refusal = await refusal_of(stub.BatchGetFib(batch(*[ask(1)] * 1_001)))

    assert (refusal.code, refusal.reason, refusal.field) == (INVALID, "BATCH_TOO_LARGE", "items")
    assert refusal.facts == {"size": "1001", "limit": "1000", "unit": "items"}
    assert len((await stub.BatchGetFib(batch(*[ask(1)] * 1_000))).results) == 1_000


async def test_a_batch_of_as_many_items_as_there_may_be_may_have_the_longest_request_ids(
    stub: "FibonacciAsyncStub",
) -> None:
    longest = fib_pb2.BatchGetFibItem(request=ask(10_000_000, DECIMAL), request_id="x" * 64)
    refusal = await refusal_of(stub.BatchGetFib(fib_pb2.BatchGetFibRequest(items=[longest] * 1_000)))

    assert (refusal.reason, refusal.facts["unit"]) == ("BATCH_TOO_LARGE", "bytes of values")  # it was read
    longest.request.n = 10
    assert len((await stub.BatchGetFib(fib_pb2.BatchGetFibRequest(items=[longest] * 1_000))).results) == 1_000


async def test_batch_get_fib_refuses_a_batch_of_too_many_bytes(stub: "FibonacciAsyncStub") -> None:
    refusal = await refusal_of(stub.BatchGetFib(batch(*[ask(100_000, DECIMAL)] * 51)))

    assert (refusal.code, refusal.reason, refusal.facts["limit"]) == (INVALID, "BATCH_TOO_LARGE", str(1 << 20))
    assert len((await stub.BatchGetFib(batch(*[ask(100_000, DECIMAL)] * 50))).results) == 50


async def test_an_empty_batch_has_no_results(stub: "FibonacciAsyncStub") -> None:
    assert await stub.BatchGetFib(batch()) == fib_pb2.BatchGetFibResponse()


async def test_health_answers_for_the_server_and_for_the_service_by_its_full_name() -> None:
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "fibonacci.Fibonacci"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
