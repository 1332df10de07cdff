import asyncio
import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
import structlog
from google.rpc.status_pb2 import Status
from grpc_status.rpc_status import from_call

from service_kit import logs
from service_kit.errors import ServiceError
from service_kit.interceptors import note
from service_kit.request_id import current_request_id
from service_kit.rpc_status import number_of
from tests.refusal import Refusal, refusal_of
from tests.service_kit.small_service import double, served

INVALID, INTERNAL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL


class Refused(ServiceError):
    reason = "REFUSED"
    field = "n"


TABLE = {Refused: INVALID}


async def refuse_two(n: int) -> int:
    if n == 2:
        raise Refused(f"not {n}")
    return n


async def crash_at_two(n: int) -> int:
    if n == 2:
        raise ValueError(f"the password is {n}")
    return n


async def read_into(came: list[int], call: Any) -> None:
    async for response in call:
        came.append(int(response.lines))  # noqa: PERF401 - it is kept when the stream fails


def served_lines(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "rpc.served"]


async def test_the_answers_of_a_stream_pass_and_have_one_line() -> None:
    came: list[int] = []
    with structlog.testing.capture_logs() as lines:
        async with served(double) as client:
            await read_into(came, client.stream(1, 3))

    assert came == [2, 4, 6]
    [line] = served_lines(lines)
    assert (line["method"], line["code"]) == ("/fibonacci.Fibonacci/StreamRange", "OK")


async def test_the_request_id_and_the_facts_are_those_of_the_call_at_every_answer() -> None:
    seen: list[str] = []

    async def see(n: int) -> int:
        seen.append(current_request_id.get())
        note(last=n)
        return n

    with structlog.testing.capture_logs() as lines:
        async with served(see) as client:
            await read_into([], client.stream(1, 3, metadata=(("x-request-id", "followed-1"),)))

    assert seen == ["followed-1"] * 3
    assert [line["last"] for line in served_lines(lines)] == [3]


async def test_an_error_of_the_table_ends_a_stream_with_its_status() -> None:
    came: list[int] = []
    with structlog.testing.capture_logs() as lines:
        async with served(refuse_two, table=TABLE) as client:
            refusal = await refusal_of(read_into(came, client.stream(0, 5)))

    assert came == [0, 1]
    assert refusal == Refusal(INVALID, "not 2", "REFUSED", "n", {})
    assert [(line["event"], line["code"], line["error"]) for line in lines] == [
        ("rpc.served", "INVALID_ARGUMENT", "not 2")
    ]


async def test_an_unexpected_exception_in_a_stream_is_internal_without_a_word_of_it() -> None:
    came: list[int] = []
    with structlog.testing.capture_logs() as lines:
        async with served(crash_at_two, table=TABLE) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await read_into(came, client.stream(0, 5))

    assert came == [0, 1]
    assert from_call(caught.value) == Status(code=number_of(INTERNAL), message="internal error")
    assert "password" not in repr(caught.value)
    assert [line["event"] for line in lines] == ["rpc.crashed", "rpc.served"]


async def test_a_stream_that_its_caller_cancels_ends_and_has_a_line() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang_at_two(n: int) -> int:
        if n == 2:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
        return n

    with structlog.testing.capture_logs() as lines:
        async with served(hang_at_two) as client, asyncio.timeout(30):
            call = client.stream(0, 5)
            await call.read()
            await started.wait()
            call.cancel()
            await ended.wait()

    assert [line["code"] for line in served_lines(lines)] == ["CANCELLED"]


@contextlib.contextmanager
def left_to_the_collector() -> Iterator[list[str]]:
    """The names of the generators that nobody closed."""
    names: list[str] = []
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(finalizer=lambda generator: names.append(str(generator)))
    try:
        yield names
    finally:
        sys.set_asyncgen_hooks(*hooks)


async def test_a_stream_is_closed_when_its_client_leaves_while_an_answer_is_sent() -> None:
    asked = 0

    async def long_answer(n: int) -> int:
        nonlocal asked
        asked += 1
        return 10**4_000 + n

    with structlog.testing.capture_logs() as lines, left_to_the_collector() as left:
        async with served(long_answer) as client, asyncio.timeout(30):
            call = client.stream(0, 1_000_000)
            await call.read()
            before = 0
            while asked > before:  # until nothing more fits on the way
                before = asked
                await asyncio.sleep(0.05)
            call.cancel()

    assert [line["code"] for line in served_lines(lines)] == ["CANCELLED"]
    assert left == []


@pytest.mark.parametrize("policy", ["all", "errors"])
@pytest.mark.parametrize("method", ["GetFib", "StreamRange"])
async def test_bytes_that_are_no_message_are_the_callers_fault(
    monkeypatch: pytest.MonkeyPatch, method: str, policy: str
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)
    with structlog.testing.capture_logs() as lines:
        async with served(double, policy=policy) as client:
            channel: Any = client.channel  # the bytes go as they are
            if method == "GetFib":
                refusal = await refusal_of(channel.unary_unary("/fibonacci.Fibonacci/GetFib")(b"\xff\xff"))
            else:
                call = channel.unary_stream("/fibonacci.Fibonacci/StreamRange")(b"\xff\xff")
                refusal = await refusal_of(call.read())

    assert (refusal.code, refusal.reason, refusal.field) == (INVALID, "MESSAGE_MALFORMED", "")
    assert refusal.message == "the request is not a message of this method's type"
    assert [line["code"] for line in served_lines(lines)] == ["INVALID_ARGUMENT"] * (policy == "all")
