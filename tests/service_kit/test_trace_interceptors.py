"""Spans around calls between a real server and a real channel, in one process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from service_kit.errors import ServiceError
from service_kit.grpc_channel import open_channel
from service_kit.interceptors import note
from service_kit.request_id import current_request_id
from service_kit.rpc_status import StatusTable
from service_kit.spans import Span
from service_kit.trace_context import parse_context
from service_kit.trace_interceptors import server_interceptors
from service_kit.traced_channel import traced_channel
from service_kit.traces import Active, current_span
from tests.service_kit.small_service import SmallClient, double, exchanged, listening
from tests.tracing import Exported

GET_FIB, STREAM_RANGE = "fibonacci.Fibonacci/GetFib", "fibonacci.Fibonacci/StreamRange"
CODE = "rpc.response.status_code"


class Refused(ServiceError):
    reason = "REFUSED"


TABLE: StatusTable = {Refused: grpc.StatusCode.INVALID_ARGUMENT}


@asynccontextmanager
async def traced(exported: Exported, answer: Callable[[int], Awaitable[int]]) -> AsyncIterator[SmallClient]:
    """A client and a server that trace what is between them."""
    around = server_interceptors(exported.tracer)
    async with (
        listening(answer, table=TABLE, outer_interceptors=around) as port,
        open_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield SmallClient(port, traced_channel(channel, exported.tracer))


async def pair(exported: Exported) -> tuple[Span, Span]:
    """The spans at both ends of a call, once both have ended."""
    client, server = await exported.one("client"), await exported.one("server")
    assert server.parent == client.context
    return client, server


async def test_a_call_has_a_span_at_both_ends_and_the_server_knows_its_own() -> None:
    exported, inside = Exported(), list[Span | None]()

    async def answer(n: int) -> int:
        inside.append(current_span.get())
        note(n=n)
        return n

    async with traced(exported, answer) as client:
        with Active(exported.tracer.begin("root")) as root:
            assert await client.ask(7) == 7
        sent, answered = await pair(exported)

    assert inside == [answered]
    assert sent.parent == root.context
    assert (sent.name, sent.attributes[CODE]) == (GET_FIB, "OK")
    assert answered.describe is not None
    assert answered.describe(answered) == {"exact_fibonacci.n": 7}


async def test_the_context_of_a_trace_goes_beside_the_metadata_of_a_call() -> None:
    exported, ids = Exported(), list[str]()

    async def answer(n: int) -> int:
        ids.append(current_request_id.get())
        return n

    async with traced(exported, answer) as client:
        with Active(exported.tracer.begin("root")):
            await client.ask(7, metadata=(("x-request-id", "followed-1"),))
            async for _ in client.stream(7, 1, metadata=(("x-request-id", "followed-2"),)):
                pass

    assert ids == ["followed-1", "followed-2"]


async def test_a_call_outside_any_trace_begins_one_at_the_server_alone() -> None:
    exported = Exported()
    async with traced(exported, double) as client:
        assert await client.ask(7) == 14

    [span] = exported.spans
    assert (span.kind, span.parent) == ("server", None)


@pytest.mark.parametrize("bad", ["", "00-0-0-01", "no traceparent", f"00-{'0' * 32}-{'0' * 16}-00"])
async def test_a_traceparent_that_cannot_be_read_is_ignored(bad: str) -> None:
    exported = Exported()
    async with traced(exported, double) as client:
        assert await client.ask(7, metadata=(("traceparent", bad),)) == 14

    [span] = exported.spans
    assert span.parent is None


@given(st.text(st.characters(max_codepoint=255), max_size=20))
@settings(max_examples=50, deadline=None)
async def test_whatever_tracestate_a_caller_sends_is_no_reason_to_fail(state: str) -> None:
    exported = Exported()
    caller = parse_context("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", state)
    async with traced(exported, double) as client:
        with Active(exported.tracer.begin("root", parent=caller)):
            assert await client.ask(7) == 14


async def test_an_error_of_the_server_is_one_at_both_ends() -> None:
    async def fail(n: int) -> int:
        raise ValueError(f"the password is {n}")

    exported = Exported(sampled=False)
    async with traced(exported, fail) as client:
        with Active(exported.tracer.begin("root")), pytest.raises(grpc.aio.AioRpcError):
            await client.ask(7)
        ends = await pair(exported)

    assert [(span.error_type, span.description, span.failed) for span in ends] == [
        ("INTERNAL", "internal error", True)
    ] * 2


async def test_a_refusal_is_an_error_of_the_client_alone_and_keeps_nothing() -> None:
    async def refuse(n: int) -> int:
        raise Refused(f"not {n}")

    exported = Exported()
    async with traced(exported, refuse) as client:
        with Active(exported.tracer.begin("root")), pytest.raises(grpc.aio.AioRpcError):
            await client.ask(7)
        ends = await pair(exported)

    assert [span.error_type for span in ends] == ["INVALID_ARGUMENT"] * 2
    assert [span.is_error for span in ends] == [True, False]
    assert not any(span.failed for span in ends)


async def test_a_cancelled_call_ends_its_spans_and_the_work() -> None:
    exported, begun = Exported(), asyncio.Event()

    async def wait_for_ever(n: int) -> int:
        begun.set()
        await asyncio.Event().wait()
        return n

    async with traced(exported, wait_for_ever) as client:
        with Active(exported.tracer.begin("root")):
            asking = asyncio.create_task(client.ask(7))
            await begun.wait()
            asking.cancel()
            await asyncio.wait([asking])
        ends = await pair(exported)

    assert asking.cancelled()
    assert [(span.attributes[CODE], span.is_error) for span in ends] == [("CANCELLED", False)] * 2


async def test_a_call_that_is_late_ends_its_spans() -> None:
    exported = Exported()

    async def wait_for_ever(n: int) -> int:
        if n:
            await asyncio.Event().wait()
        return n

    async with traced(exported, wait_for_ever) as client:
        await client.ask(0)  # connected, the next one is in time to begin at the server
        exported.spans.clear()
        with Active(exported.tracer.begin("root")), pytest.raises(grpc.aio.AioRpcError):
            await client.ask(7, timeout=1)
        sent, _ = await pair(exported)

    assert (sent.attributes[CODE], sent.failed) == ("DEADLINE_EXCEEDED", True)


async def test_a_stream_has_spans_that_last_until_it_was_read() -> None:
    exported = Exported()
    async with traced(exported, double) as client:
        with Active(exported.tracer.begin("root")):
            came = [int(response.lines) async for response in client.stream(1, 3)]
        ends = await pair(exported)

    assert came == [2, 4, 6]
    assert [(span.name, span.attributes[CODE]) for span in ends] == [(STREAM_RANGE, "OK")] * 2


async def test_a_stream_that_is_given_up_ends_its_spans() -> None:
    exported = Exported()
    async with traced(exported, double) as client:
        with Active(exported.tracer.begin("root")):
            call = client.stream(1, 1_000_000)
            await anext(aiter(call))
            call.cancel()
        ends = await pair(exported)

    assert [(span.attributes[CODE], span.is_error) for span in ends] == [("CANCELLED", False)] * 2


async def test_health_and_a_call_that_lasts_have_no_span() -> None:
    exported = Exported()
    async with traced(exported, double) as client:
        await client.health.Check(health_pb2.HealthCheckRequest())
        assert await exchanged(client.exchange(), 1, 2) == [2, 4]

    assert exported.spans == []
