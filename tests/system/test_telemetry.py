"""Each thing that goes well or wrong, caused once in the real processes: its metric, its log line and its span."""

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from api_gateway.deadlines import HEADER
from deploy.local.processes import System
from tests.otlp import Collector, Received
from tests.slow_clients import seconds_of_sending_slowly
from tests.system.scraped import scraped
from tests.system.traced import GATEWAY, answering, calling, traced
from tests.system.workers import stopped_worker, wait_until, wait_until_at_work

#: One worker, and nobody waits for it.
SETTINGS = {
    "FIBONACCI_WORKERS": 1,
    "FIBONACCI_WORKERS_MAX_QUEUED_SECONDS": 0,
    "GATEWAY_RECEIVE_TIMEOUT_SECONDS": 1,
    "GATEWAY_DEADLINE_SECONDS": 45,  # a worker gives way to whatever else the machine does
}
GET_FIB, STREAM_FIB = "fibonacci.Fibonacci/GetFib", "fibonacci.Fibonacci/StreamFib"
LIST_STATS = "stats.Stats/ListStats"
#: It is sent in pieces.
LONG_N = 9_000_000
#: It needs a worker.
DEAR_N = 300_000


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, Collector]]:
    with traced(tmp_path_factory.mktemp("account"), SETTINGS) as (system, collector):
        yield system, collector


def get(system: System, path: str, trace: int, **headers: str) -> httpx.Response:
    """Asks as a part of a trace, which is named by a number."""
    return httpx.get(f"{system.url}{path}", headers={"traceparent": context_of(trace), **headers}, timeout=60)


def context_of(trace: int) -> str:
    return f"00-{trace:032x}-00000000000000aa-01"


def spans(collector: Collector, trace: int, place: tuple[str, str, str], count: int = 1) -> list[Received]:
    return collector.wait_for_all(lambda span: span.trace_id == f"{trace:032x}" and span.place == place, count)


@contextmanager
def held_at_work(system: System, n: int, trace: int) -> Iterator[tuple[int, "Future[httpx.Response]"]]:
    """The worker, stopped with F(n) to compute for as long as one looks; and the answer."""
    with stopped_worker(system, DEAR_N + trace) as worker, ThreadPoolExecutor() as threads:
        answer = threads.submit(get, system, f"/fib?n={n}", trace)
        wait_until_at_work(system)
        yield worker, answer


def test_a_miss_and_a_hit(watched: tuple[System, Collector]) -> None:
    system, collector = watched
    for trace in (0xA1, 0xA2):
        assert get(system, "/fib?n=5000", trace).status_code == 200

    told = scraped(system, system.fibonacci)
    assert told.value("fibonacci_computations_total", origin="computed") == 1
    assert told.value("fibonacci_computations_total", origin="cache") == 1
    for trace, cached in ((0xA1, False), (0xA2, True)):
        [span] = spans(collector, trace, answering(GET_FIB))
        assert span.attributes["exact_fibonacci.cached"] is cached
        assert system.fibonacci.wait_for("rpc.served", n=5000, cached=cached)["span_id"] == span.span_id


def test_a_worker_that_is_killed_and_the_retry_that_hides_it(watched: tuple[System, Collector]) -> None:
    system, collector = watched
    with held_at_work(system, LONG_N, 0xB1) as (worker, answer):
        os.kill(worker, signal.SIGKILL)
        assert answer.result().status_code == 200

    assert scraped(system, system.fibonacci).value("fibonacci_workers_lost_total") == 1
    assert scraped(system, system.gateway).value("rpc_client_retries_total", callee="fibonacci_service") == 1
    assert system.fibonacci.wait_for("worker.lost", busy=True)
    assert system.gateway.wait_for("call.retried", attempt=1)["trace_id"] == f"{0xB1:032x}"
    attempts = spans(collector, 0xB1, calling(STREAM_FIB), 2)
    assert sorted(attempt.is_error for attempt in attempts) == [False, True]


def test_a_computation_that_finds_the_workers_busy(watched: tuple[System, Collector]) -> None:
    system, collector = watched
    with held_at_work(system, LONG_N - 1, 0xC1) as (worker, answer):
        refused = get(system, f"/fib?n={DEAR_N}", 0xC2)
        os.kill(worker, signal.SIGCONT)
        assert answer.result().status_code == 200

    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert scraped(system, system.fibonacci).value("rpc_server_shed_total", kind="long_computations") == 1
    assert system.fibonacci.wait_for("overload.refused", refused="long_computations")
    [span] = spans(collector, 0xC2, answering(GET_FIB))
    assert span.attributes["rpc.response.status_code"] == "RESOURCE_EXHAUSTED"


def test_an_outage_of_stats_service(watched: tuple[System, Collector]) -> None:
    system, collector = watched
    system.stats.kill()
    assert get(system, "/fib?n=7000", 0xD1).status_code == 200
    assert get(system, "/stats", 0xD2, **{HEADER: "500"}).status_code == 503

    assert scraped(system, system.fibonacci).value("fibonacci_records_pending") >= 1
    assert system.fibonacci.wait_for("stats.unreachable")
    refused = {"http_route": "/stats", "http_response_status_code": "503"}
    assert scraped(system, system.gateway).value("http_server_request_duration_seconds_count", **refused) == 1
    assert system.gateway.wait_for("http.served", path="/stats", status=503)["trace_id"] == f"{0xD2:032x}"
    [span] = spans(collector, 0xD2, ("api_gateway", "server", "GET /stats"))
    assert span.is_error

    system.stats.start()
    wait_until(lambda: scraped(system, system.fibonacci).value("fibonacci_records_pending") == 0)
    told = scraped(system, system.fibonacci)
    assert told.value("fibonacci_records_served_total") == told.value("fibonacci_records_recorded_total")
    assert told.value("fibonacci_records_dropped_total") == 0
    assert system.fibonacci.wait_for("stats.reachable")
    linked = {f"{0xD1:032x}"}
    record = collector.wait_for(lambda span: span.name == "record" and linked <= {trace for trace, _ in span.links})
    assert collector.wait_for(lambda span: span.parent_id == record.span_id)


def test_a_client_that_is_too_slow(watched: tuple[System, Collector]) -> None:
    system, collector = watched
    asyncio.run(
        seconds_of_sending_slowly("127.0.0.1", system.gateway.port, f"traceparent: {context_of(0xF1)}\r\n".encode())
    )

    assert scraped(system, system.gateway).value("http_server_refused_total", reason="request_too_slow") == 1
    told = system.gateway.wait_for("http.refused", reason="request_too_slow")
    [span] = spans(collector, 0xF1, ("api_gateway", "server", "HTTP"))
    assert (told["client"], told["span_id"]) == ("127.0.0.1", span.span_id)
    assert (span.attributes["http.response.status_code"], span.is_error) == (408, False)
    assert span.attributes["exact_fibonacci.request_id"] == told["request_id"]
    assert span.milliseconds > 1000 * SETTINGS["GATEWAY_RECEIVE_TIMEOUT_SECONDS"]


def test_a_request_that_is_wrong(watched: tuple[System, Collector]) -> None:
    system, collector = watched
    assert get(system, "/fib?n=-1", 0xE1).status_code == 400

    wrong = {"http_route": "/fib", "http_response_status_code": "400"}
    assert scraped(system, system.gateway).value("http_server_request_duration_seconds_count", **wrong) == 1
    assert system.gateway.wait_for("http.served", path="/fib", status=400)
    [span] = spans(collector, 0xE1, GATEWAY)
    assert not span.is_error, "the client's own doing is no error of the server"


def test_there_is_no_line_and_no_metric_of_what_did_not_happen(watched: tuple[System, Collector]) -> None:
    system, _ = watched
    told = scraped(system, system.gateway)
    assert told.value("rpc_client_circuit_refused_total") == told.value("gateway_batch_refused_total") == 0
    crashed = {"http.crashed", "rpc.crashed", "metrics.crashed"}
    assert not [line for service in system.services for line in service.lines if line.get("event") in crashed]
