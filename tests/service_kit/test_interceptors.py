import asyncio
from typing import Any

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_status.rpc_status import from_call

from service_kit import logs
from service_kit.admission import Admission
from service_kit.errors import ServiceError
from service_kit.interceptors import ServerInterceptor, note
from service_kit.logs import RequestLog
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from service_kit.request_id import accept_request_id, current_request_id
from service_kit.rpc_status import number_of
from tests.refusal import Refusal, refusal_of
from tests.service_kit.conftest import Lines
from tests.service_kit.small_service import double, served

INVALID, INTERNAL = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL


class Refused(ServiceError):
    reason = "REFUSED"
    field = "n"


TABLE = {Refused: INVALID}


async def refuse(n: int) -> int:
    raise Refused(f"not {n}")


async def crash(n: int) -> int:
    raise ValueError(f"the password is {n}")


def served_lines(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "rpc.served"]


async def test_an_answer_passes_and_has_a_line() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(double) as client:
            assert await client.ask(21) == 42

    [line] = served_lines(lines)
    assert (line["method"], line["code"], line["log_level"]) == ("/fibonacci.Fibonacci/GetFib", "OK", "info")
    assert 0 < line["duration_ms"] < 60_000


async def test_an_error_of_the_table_is_its_status_with_every_detail() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(refuse, table=TABLE) as client:
            assert await refusal_of(client.ask(7)) == Refusal(INVALID, "not 7", "REFUSED", "n", {})

    assert [(line["code"], line["error"]) for line in served_lines(lines)] == [("INVALID_ARGUMENT", "not 7")]
    assert [line["event"] for line in lines] == ["rpc.served"]


async def test_an_unexpected_exception_is_internal_without_a_word_of_it() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(crash, table=TABLE) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.ask(1234)

    assert (caught.value.code(), caught.value.details()) == (INTERNAL, "internal error")
    assert from_call(caught.value) == Status(code=number_of(INTERNAL), message="internal error")
    assert "1234" not in repr(caught.value.trailing_metadata())
    assert [line["event"] for line in lines] == ["rpc.crashed", "rpc.served"]
    assert str(lines[0]["exc_info"]) == "the password is 1234"


async def test_an_error_that_is_not_in_the_table_is_internal_as_well() -> None:
    async with served(refuse) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.ask(7)

    assert (caught.value.code(), caught.value.details()) == (INTERNAL, "internal error")


async def test_a_call_after_a_crash_is_answered() -> None:
    async def crash_once(n: int) -> int:
        return await (crash(n) if n == 0 else double(n))

    async with served(crash_once) as client:
        with pytest.raises(grpc.aio.AioRpcError):
            await client.ask(0)
        assert await client.ask(21) == 42


async def test_the_request_id_of_the_metadata_reaches_every_line(json_lines: Lines) -> None:
    async def log_and_double(n: int) -> int:
        structlog.get_logger().info("asked")
        return await double(n)

    async with served(log_and_double) as client:
        await client.ask(1, metadata=(("x-request-id", "followed-1"),))
        lines = json_lines()

    assert [(line["event"], line["request_id"]) for line in lines] == [
        ("asked", "followed-1"),
        ("rpc.served", "followed-1"),
    ]


@pytest.mark.parametrize("metadata", [(), (("x-request-id", "no good id"),)], ids=["none", "bad"])
async def test_without_an_acceptable_request_id_each_call_gets_a_new_one(metadata: tuple[tuple[str, str], ...]) -> None:
    seen: list[str] = []

    async def see(n: int) -> int:
        seen.append(current_request_id.get())
        return n

    async with served(see) as client:
        for n in range(2):
            await client.ask(n, metadata=metadata)

    assert seen[0] != seen[1]
    assert seen == [accept_request_id(request_id) for request_id in seen]


async def test_what_is_noted_is_in_the_line_of_its_own_call_also_among_others() -> None:
    all_in = asyncio.Barrier(3)

    async def note_and_double(n: int) -> int:
        note(n=n)
        await all_in.wait()
        note(doubled=2 * n)
        return await double(n)

    with structlog.testing.capture_logs() as lines:
        async with served(note_and_double) as client:
            await asyncio.gather(*map(client.ask, (1, 2, 3)))

    assert {(line["n"], line["doubled"]) for line in served_lines(lines)} == {(1, 2), (2, 4), (3, 6)}


def test_outside_a_call_noting_is_for_nothing() -> None:
    note(n=10)


@pytest.mark.parametrize(
    ("facts", "error", "wanted"),
    [
        ({}, None, 0),
        ({}, Refused("not so"), 0),
        ({}, ValueError("broken"), 1),
        ({"dear": True}, None, 1),
        ({"fault": "delay"}, None, 1),
    ],
    ids=["answered", "refused", "crashed", "dear", "faulted"],
)
async def test_by_default_what_failed_or_was_dear_has_a_line(
    monkeypatch: pytest.MonkeyPatch, facts: dict[str, bool | str], error: Exception | None, wanted: int
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)

    async def answer(n: int) -> int:
        note(**facts)
        if error is not None:
            raise error
        return n

    with structlog.testing.capture_logs() as lines:
        async with served(answer, table=TABLE, policy="errors") as client:
            await asyncio.gather(client.ask(1), return_exceptions=True)

    assert ["dear" in line for line in served_lines(lines)] == [False] * wanted


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_by_default_what_its_client_or_an_overload_brought_about_has_no_line(
    monkeypatch: pytest.MonkeyPatch, code: grpc.StatusCode
) -> None:
    monkeypatch.setattr(logs, "SLOW_REQUEST_SECONDS", 3600)
    with structlog.testing.capture_logs() as lines:
        async with served(refuse, table={Refused: code}, policy="errors") as client:
            await asyncio.gather(client.ask(1), return_exceptions=True)

    quiet = {"CANCELLED", "INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND", "RESOURCE_EXHAUSTED"}
    assert [line["code"] for line in served_lines(lines)] == ([] if code.name in quiet else [code.name])


async def test_a_call_that_its_caller_cancels_ends_and_has_a_line() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def hang(n: int) -> int:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return n

    with structlog.testing.capture_logs() as lines:
        async with served(hang) as client, asyncio.timeout(30):
            call = asyncio.create_task(client.ask(1))
            await started.wait()
            call.cancel()
            await ended.wait()

    assert [line["code"] for line in served_lines(lines)] == ["CANCELLED"]


async def test_health_checks_have_no_line() -> None:
    with structlog.testing.capture_logs() as lines:
        async with served(double) as client:
            await client.health.Check(health_pb2.HealthCheckRequest())

    assert lines == []


async def test_health_checks_are_counted_by_how_they_ended() -> None:
    interceptor = ServerInterceptor(
        status_table={}, request_log=RequestLog(policy="all"), admission=Admission(max_calls=1, max_queued=0)
    )
    check, watching = "grpc.health.v1.Health/Check", "grpc.health.v1.Health/Watch"
    async with served(double, interceptor=interceptor) as client:
        await client.health.Check(health_pb2.HealthCheckRequest())
        with pytest.raises(grpc.aio.AioRpcError):
            await client.health.Check(health_pb2.HealthCheckRequest(service="nobody"))
        watch = client.health.Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        watch.cancel()
        async with asyncio.timeout(20):  # before it drains, which would end the call first
            while (watching, "CANCELLED") not in interceptor.stream_durations:
                await client.ask(1)

    checks = {labels: sum(h.counts) for labels, h in interceptor.call_durations.items() if labels[0] == check}
    assert checks == {(check, "OK"): 1, (check, "NOT_FOUND"): 1}
    # The other one is that of the channel itself.
    assert set(interceptor.stream_durations) <= {(watching, "CANCELLED"), (watching, "OK")}
    assert sum(interceptor.stream_durations[watching, "CANCELLED"].counts) >= 1


async def test_a_method_that_does_not_exist_is_unimplemented() -> None:
    async with served(double) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await StatsStub(client.channel).GetStats(Empty())

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
