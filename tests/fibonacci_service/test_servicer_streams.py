import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from fibonacci_service.app import running
from fibonacci_service.ranges import RangeReader
from fibonacci_service.sequence import Encoding, encode, fibonacci
from fibonacci_service.servicer import STREAM_PIECE_BYTES
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.fibonacci_service.conftest import settings_of
from tests.fibonacci_service.processes import Processes
from tests.refusal import Refusal, refusal_of

if TYPE_CHECKING:
    from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciAsyncStub

INVALID, OUT_OF_RANGE = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE
DECIMAL, BIG_ENDIAN = fib_pb2.DECIMAL, fib_pb2.BIG_ENDIAN
#: A number of two pieces and a bit.
LONG_INDEX = 3_000_000


def asked(n: int, encoding: int = DECIMAL, *, offset: int = 0, length: int = 0) -> fib_pb2.StreamFibRequest:
    named = fib_pb2.Encoding.ValueType(encoding)
    return fib_pb2.StreamFibRequest(n=n, encoding=named, offset=offset, length=length)


def range_of(start: int, count: int) -> fib_pb2.StreamRangeRequest:
    return fib_pb2.StreamRangeRequest(start=start, count=count)


async def everything(call: Any) -> list[Any]:
    return [response async for response in call]


async def refusal_after(call: Any) -> tuple[list[Any], Refusal]:
    """What came of a stream before it failed, and its failure."""
    came: list[Any] = []

    async def read() -> None:
        async for response in call:
            came.append(response)  # noqa: PERF401 - it is kept when the stream fails

    return came, await refusal_of(read())


@pytest.mark.parametrize("encoding", Encoding)
async def test_stream_fib_answers_in_pieces_with_the_total_and_the_digest_in_the_first(
    stub: "FibonacciAsyncStub", encoding: Encoding
) -> None:
    expected = encode(fibonacci(LONG_INDEX), encoding)
    first, *rest = await everything(stub.StreamFib(asked(LONG_INDEX, encoding)))

    assert b"".join(response.data for response in (first, *rest)) == expected
    assert (first.total_bytes, first.sha256) == (len(expected), hashlib.sha256(expected).digest())
    assert all((response.total_bytes, response.sha256) == (0, b"") for response in rest)
    assert {len(response.data) for response in (first, *rest)[:-1]} <= {STREAM_PIECE_BYTES}
    assert 1 + len(rest) == -(-len(expected) // STREAM_PIECE_BYTES)


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        (0, 1),
        (626_962, 0),
        (626_962, 100),
        (STREAM_PIECE_BYTES - 1, 2),
        (1, STREAM_PIECE_BYTES),
        (1, STREAM_PIECE_BYTES + 1),
        (300_000, 0),
        (0, 2**63 - 1),
    ],
)
async def test_stream_fib_answers_a_slice_with_the_total_and_the_digest_of_the_whole(
    stub: "FibonacciAsyncStub", offset: int, length: int
) -> None:
    whole = encode(fibonacci(LONG_INDEX), Encoding.DECIMAL)
    responses = await everything(stub.StreamFib(asked(LONG_INDEX, offset=offset, length=length)))

    expected = whole[offset : offset + length] if length else whole[offset:]
    assert b"".join(response.data for response in responses) == expected
    assert len(responses) == -(-len(expected) // STREAM_PIECE_BYTES)
    assert (responses[0].total_bytes, responses[0].sha256) == (len(whole), hashlib.sha256(whole).digest())


async def test_stream_fib_answers_a_small_number_in_one_piece(stub: "FibonacciAsyncStub") -> None:
    sha256 = hashlib.sha256(b"55").digest()

    assert await everything(stub.StreamFib(asked(10))) == [
        fib_pb2.StreamFibResponse(total_bytes=2, sha256=sha256, data=b"55")
    ]


@pytest.mark.parametrize(
    ("request_", "code", "reason", "field"),
    [
        (asked(10, 0), INVALID, "ENCODING_UNKNOWN", "encoding"),
        (asked(10, 3), INVALID, "ENCODING_UNKNOWN", "encoding"),
        (asked(-1), INVALID, "INDEX_NEGATIVE", "n"),
        (asked(10_000_001), INVALID, "INDEX_TOO_LARGE", "n"),
        (asked(10, offset=2), OUT_OF_RANGE, "SLICE_OUT_OF_RANGE", "offset"),
        (asked(10, offset=-1), OUT_OF_RANGE, "SLICE_OUT_OF_RANGE", "offset"),
        (asked(10, length=-1), OUT_OF_RANGE, "SLICE_OUT_OF_RANGE", "length"),
    ],
)
async def test_stream_fib_refuses_what_is_outside_its_bounds(
    stub: "FibonacciAsyncStub", request_: fib_pb2.StreamFibRequest, code: grpc.StatusCode, reason: str, field: str
) -> None:
    came, refusal = await refusal_after(stub.StreamFib(request_))

    assert came == []
    assert (refusal.code, refusal.reason, refusal.field) == (code, reason, field)


async def test_stream_range_answers_every_number_in_order(stub: "FibonacciAsyncStub") -> None:
    responses = await everything(stub.StreamRange(range_of(90, 20_000)))

    following = 90
    for response in responses:
        assert response.first == following
        following += response.lines.count(b"\n")
    assert following == 20_090
    text = b"".join(response.lines for response in responses).split(b"\n")
    assert [text[place] for place in (0, 2, 3, 10, -1)] == [
        *(encode(fibonacci(n), Encoding.DECIMAL) for n in (90, 92, 93, 100)),
        b"",
    ]
    assert text[-2] == encode(fibonacci(20_089), Encoding.DECIMAL)


@pytest.mark.parametrize(
    ("request_", "reason", "field"),
    [
        (range_of(-1, 1), "INDEX_NEGATIVE", "start"),
        (range_of(0, 0), "COUNT_TOO_SMALL", "count"),
        (range_of(0, -1), "COUNT_TOO_SMALL", "count"),
        (range_of(0, 1_000_002), "RANGE_TOO_HIGH", "count"),
        (range_of(2**31 - 1, 2**31 - 1), "RANGE_TOO_HIGH", "start"),
    ],
)
async def test_stream_range_refuses_before_the_first_piece(
    stub: "FibonacciAsyncStub", request_: fib_pb2.StreamRangeRequest, reason: str, field: str
) -> None:
    came, refusal = await refusal_after(stub.StreamRange(request_))

    assert came == []
    assert (refusal.code, refusal.reason, refusal.field) == (INVALID, reason, field)


async def test_a_range_that_its_client_cancels_ends(processes: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    ended, read = asyncio.Event(), RangeReader.read

    async def observed(reader: RangeReader, start: int, count: int) -> AsyncGenerator[tuple[int, bytes], None]:
        try:
            async with contextlib.aclosing(read(reader, start, count)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            ended.set()

    monkeypatch.setattr(RangeReader, "read", observed)
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        call = FibonacciStub(channel).StreamRange(range_of(0, 1_000_000))
        await call.read()
        call.cancel()
        async with asyncio.timeout(30):
            await ended.wait()

    assert processes.running == []
