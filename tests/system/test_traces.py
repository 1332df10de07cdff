"""One joined trace, through real processes and over a real socket, for each way that a request can go."""

import asyncio
from pathlib import Path

import httpx

from deploy.local.certificates import make
from service_kit.spans import SLOW_NS
from tests.system.certificates import client_context, settings_of
from tests.system.traced import (
    BATCH,
    CALLER,
    GATEWAY,
    RECORD,
    RUN,
    TRACE_ID,
    UNSAMPLED,
    WAIT,
    answering,
    calling,
    is_chain,
    traced,
)
from tests.system.workers import stopped_worker

GET_FIB, STREAM_FIB = "fibonacci.Fibonacci/GetFib", "fibonacci.Fibonacci/StreamFib"
TWO_ERRORS_THEN_NONE = {"FIBONACCI_FAULT_ERROR_PROBABILITY": 0.5, "FIBONACCI_FAULT_SEED": 10}
EXCHANGE_FIB, RECORD_NO = "fibonacci.Fibonacci/ExchangeFib", "stats.Stats/RecordNo"


def test_a_request_is_one_trace_from_the_caller_to_the_worker(tmp_path: Path) -> None:
    with traced(tmp_path) as (system, collector):
        httpx.get(f"{system.url}/fib?n=300000", headers={**CALLER, "X-Request-ID": "traced-1"}, timeout=60)

        spans = collector.trace(TRACE_ID, GATEWAY, calling(GET_FIB), answering(GET_FIB), WAIT, RUN)

        gateway, client, server, wait, run = spans.values()
        assert gateway.parent_id == "b7ad6b7169203331"
        assert is_chain(gateway, client, server, run)
        assert is_chain(server, wait)
        assert {span.state for span in spans.values()} == {"one=1,two=2"}
        assert not any(span.is_error for span in spans.values())
        assert gateway.attributes == {
            "http.request.method": "GET",
            "http.response.status_code": 200,
            "http.route": "/fib",
            "network.protocol.version": "1.1",
            "url.path": "/fib",
            "url.query": "n=300000",
            "url.scheme": "http",
            "exact_fibonacci.request_id": "traced-1",
        }
        assert client.attributes == {
            "rpc.system.name": "grpc",
            "rpc.method": GET_FIB,
            "rpc.response.status_code": "OK",
        }
        assert server.attributes == client.attributes | {
            "exact_fibonacci.n": 300_000,
            "exact_fibonacci.cached": False,
        }
        for service in (system.gateway, system.fibonacci):
            event = "http.served" if service is system.gateway else "rpc.served"
            line = service.wait_for(event, request_id="traced-1")
            assert (line["trace_id"], line["span_id"]) == (gateway if service is system.gateway else server).identity


def test_a_streamed_number_is_one_trace_whose_spans_last_as_long_as_the_stream(tmp_path: Path) -> None:
    with traced(tmp_path) as (system, collector):
        httpx.get(f"{system.url}/fib?n=6000000", headers=CALLER, timeout=60)

        gateway, client, server, run = collector.trace(
            TRACE_ID, GATEWAY, calling(STREAM_FIB), answering(STREAM_FIB), RUN
        ).values()

        assert is_chain(gateway, client, server, run)
        # Whether the gateway or fibonacci_service ends first is open: nobody waits for the status after the last byte.
        assert min(gateway.milliseconds, client.milliseconds, server.milliseconds) >= run.milliseconds > 0
        assert {span.attributes["rpc.response.status_code"] for span in (client, server)} == {"OK"}
        assert not any(span.is_error for span in (gateway, client, server, run))


async def test_the_spans_of_a_request_whose_client_leaves_end_and_say_so(tmp_path: Path) -> None:
    places = (GATEWAY, calling(STREAM_FIB), answering(STREAM_FIB), RUN)
    with traced(tmp_path, {"FIBONACCI_WORKERS": 1}) as (system, collector):
        async with httpx.AsyncClient() as client:
            with stopped_worker(system, 300_000):
                asking = asyncio.create_task(client.get(f"{system.url}/fib?n=10000000", headers=CALLER, timeout=60))
                # The end of its wait for a worker says that the computation has begun.
                await asyncio.to_thread(collector.trace, TRACE_ID, WAIT)
                asking.cancel()
                await asyncio.wait([asking])

                gateway, call, server, run = (await asyncio.to_thread(collector.trace, TRACE_ID, *places)).values()

        assert is_chain(gateway, call, server, run)
        assert [span.attributes["error.type"] for span in (gateway, call, server, run)] == [
            "client_left",
            "CANCELLED",
            "CANCELLED",
            "cancelled",
        ]
        assert not any(span.is_error for span in (gateway, call, server, run))


def test_a_failed_request_is_an_error_in_each_of_its_spans(tmp_path: Path) -> None:
    faults = {"FIBONACCI_FAULT_ERROR_PROBABILITY": 1, "FIBONACCI_FAULT_ERROR_STATUS": "INTERNAL"}
    with traced(tmp_path, faults) as (system, collector):
        assert httpx.get(f"{system.url}/fib?n=5000", headers=CALLER).status_code == 500

        gateway, client, server = collector.trace(TRACE_ID, GATEWAY, calling(GET_FIB), answering(GET_FIB)).values()

        assert is_chain(gateway, client, server)
        assert [span.attributes["error.type"] for span in (gateway, client, server)] == ["500", "INTERNAL", "INTERNAL"]
        assert all(span.is_error for span in (gateway, client, server))
        assert server.description == "this error was injected"


def test_each_attempt_of_a_retried_request_has_a_span_of_its_own(tmp_path: Path) -> None:
    with traced(tmp_path, TWO_ERRORS_THEN_NONE) as (system, collector):
        assert httpx.get(f"{system.url}/fib?n=5000", headers=CALLER).status_code == 200
        gateway = collector.trace(TRACE_ID, GATEWAY)[GATEWAY]

        attempts = collector.wait_for_all(lambda span: span.place == calling(GET_FIB), 3)
        answers = collector.wait_for_all(lambda span: span.place == answering(GET_FIB), 3)

        codes = [span.attributes["rpc.response.status_code"] for span in attempts]
        assert codes == ["UNAVAILABLE", "UNAVAILABLE", "OK"]
        assert all(is_chain(gateway, attempt) for attempt in attempts)
        assert {span.parent_id for span in answers} == {span.span_id for span in attempts}
        assert not gateway.is_error


def test_each_attempt_of_a_retried_batch_has_a_span_of_its_own(tmp_path: Path) -> None:
    with traced(tmp_path, TWO_ERRORS_THEN_NONE) as (system, collector):
        assert httpx.get(f"{system.url}/fib?n=10", headers=CALLER).status_code == 200
        batch = collector.wait_for(lambda span: span.place == BATCH)

        attempts = collector.wait_for_all(lambda span: span.place == calling(EXCHANGE_FIB), 3)
        answer = collector.wait_for(lambda span: span.place == answering(EXCHANGE_FIB))

        codes = [span.attributes["rpc.response.status_code"] for span in attempts]
        assert codes == ["UNAVAILABLE", "UNAVAILABLE", "OK"]
        assert all(is_chain(batch, attempt) for attempt in attempts)
        assert is_chain(attempts[-1], answer)


async def test_requests_that_share_a_batch_and_the_batch_are_linked_both_ways(tmp_path: Path) -> None:
    with traced(tmp_path) as (system, collector):
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(client.get(f"{system.url}/fib?n={n}") for n in range(100, 140)))
        requests = await asyncio.to_thread(collector.wait_for_all, lambda span: span.place == GATEWAY, 40)
        batch = await asyncio.to_thread(
            collector.wait_for, lambda span: span.place == BATCH and span.attributes["exact_fibonacci.items"] > 1
        )
        attempt, answer = (
            await asyncio.to_thread(collector.trace, batch.trace_id, calling(EXCHANGE_FIB), answering(EXCHANGE_FIB))
        ).values()

    assert batch.parent_id == ""
    assert len(batch.links) == batch.attributes["exact_fibonacci.items"]
    assert {span.identity for span in requests if batch.identity in span.links} == batch.links
    assert len({span.trace_id for span in requests}) == 40
    assert is_chain(batch, attempt, answer)


def test_the_record_of_a_request_has_a_trace_of_its_own_that_is_linked_to_it(tmp_path: Path) -> None:
    with traced(tmp_path) as (system, collector):
        httpx.get(f"{system.url}/fib?n=5000", headers=CALLER)
        server = collector.trace(TRACE_ID, answering(GET_FIB))[answering(GET_FIB)]

        record = collector.wait_for(lambda span: span.place == RECORD and server.identity in span.links)
        client, stats = collector.trace(
            record.trace_id, calling(RECORD_NO, "fibonacci_service"), answering(RECORD_NO, "stats_service")
        ).values()

        assert record.parent_id == ""
        assert record.trace_id != TRACE_ID
        assert is_chain(record, client, stats)
        line = system.stats.wait_for("rpc.served", trace_id=stats.trace_id)
        assert (line["span_id"], line["method"]) == (stats.span_id, f"/{RECORD_NO}")


def test_what_fails_or_is_slow_is_kept_though_nothing_is_sampled(tmp_path: Path) -> None:
    faults = {"GATEWAY_FAULT_ERROR_PROBABILITY": 0.2, "GATEWAY_FAULT_SEED": 1}
    with traced(tmp_path, {**UNSAMPLED, **faults}) as (system, collector):
        statuses = [httpx.get(f"{system.url}/fib?n=7").status_code for _ in range(30)]
        while httpx.get(f"{system.url}/fib?n=10000000", timeout=60).status_code != 200:
            pass
        slow = collector.wait_for(lambda span: span.place == RUN)
        collector.trace(slow.trace_id, GATEWAY)
        failed = collector.wait_for_all(lambda span: span.place == GATEWAY and span.is_error, statuses.count(503))
        others = [span for span in collector.spans if span.place == GATEWAY and not span.is_error]

        assert 0 < statuses.count(503) < 30
        assert {span.attributes["exact_fibonacci.kept"] for span in failed} == {"error"}
        assert {span.attributes["exact_fibonacci.kept"] for span in (slow, *others)} == {"slow"}
        assert all(span.milliseconds > SLOW_NS / 1e6 for span in others)


def test_a_trace_goes_through_channels_of_tls_as_well(tmp_path: Path) -> None:
    certificates = tmp_path / "certs"
    make(certificates)
    with traced(tmp_path, settings_of(certificates)) as (system, collector):
        url = system.url.replace("http:", "https:")
        with httpx.Client(verify=client_context(certificates)) as client:
            assert client.get(f"{url}/fib?n=5000", headers=CALLER).status_code == 200

        assert is_chain(*collector.trace(TRACE_ID, GATEWAY, calling(GET_FIB), answering(GET_FIB)).values())
        record = collector.wait_for(lambda span: span.place == RECORD)
        assert is_chain(
            record,
            *collector.trace(
                record.trace_id, calling(RECORD_NO, "fibonacci_service"), answering(RECORD_NO, "stats_service")
            ).values(),
        )
