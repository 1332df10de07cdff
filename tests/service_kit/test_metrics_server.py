"""The port for metrics of a gRPC service: what it answers, and what slow or strange clients may do to it."""

import asyncio
import contextlib
import gc
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics import parser

from service_kit import metrics_server
from service_kit.lifecycle import CannotStart
from service_kit.metrics import Histograms, Metrics
from service_kit.metrics_server import MAX_CONNECTIONS, MAX_REQUEST_BYTES, serving_metrics
from tests.scrapes import Scrape, Scraper
from tests.service_kit.small_service import Settings
from tests.slow_clients import connected_with_a_small_window, seconds_until_broken


@asynccontextmanager
async def served(metrics: Metrics | None = None) -> AsyncIterator[int]:
    async with serving_metrics(Settings(), metrics or Metrics(service="demo")) as port:
        yield port


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with served() as port:
        yield port


read_openmetrics: Callable[[str], Iterable[Metric]] = parser.text_string_to_metric_families  # it has no types


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}/metrics"


async def sent(port: int, request: bytes) -> bytes:
    """Everything that comes until the other side closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(20):
        writer.write(request)
        try:
            return await reader.read()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def test_it_tells_of_the_process_and_of_its_event_loop(port: int) -> None:
    scrape = await Scraper(url(port))()

    assert scrape.value("build_info", service="demo") == 1
    assert scrape.value("process_open_fds") > 3
    assert scrape.value("process_cpu_seconds_total") > 0
    await Scraper(url(port)).until_above("event_loop_lag_seconds_count", 1)


async def test_the_lag_is_how_long_the_event_loop_was_held_up(port: int) -> None:
    scraper = Scraper(url(port))
    before = await scraper.until_above("event_loop_lag_seconds_count", 0)
    _hold_up(seconds=0.7)
    scrape = await scraper.until_above("event_loop_lag_seconds_count", before.value("event_loop_lag_seconds_count"))

    assert 0.5 < scrape.value("event_loop_lag_seconds_sum") - before.value("event_loop_lag_seconds_sum") < 10
    assert late_looks(scrape) - late_looks(before) >= 1


def late_looks(scrape: Scrape) -> float:
    """How many were late by more than half a second."""
    within = scrape.value("event_loop_lag_seconds_bucket", le="0.5")
    return scrape.value("event_loop_lag_seconds_count") - within


def _hold_up(*, seconds: float) -> None:
    """As code does that does not give way; the loop is late by this less the tenth of a second between two looks."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nobody.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            nobody.accept()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
        ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
        ("application/openmetrics-text;version=nonsense", "text/plain; version=0.0.4; charset=utf-8"),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
        ),
    ],
)
async def test_a_scraper_gets_the_format_that_it_asks_for(port: int, accept: str, content_type: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(url(port), headers={"Accept": accept})

    assert (response.status_code, response.headers["content-type"]) == (200, content_type)


async def test_everything_can_be_read_as_openmetrics() -> None:
    metrics = Metrics(service="demo")
    durations = Histograms()
    durations.observe(("a", 200), 0.003)
    durations.observe(("a", 200), 20.0)
    metrics.histogram("demo_duration_seconds", "How long.", durations, ("name", "status"))
    metrics.counter("demo_cats", "How many.", lambda: {"black": 2, "white": 3}, ("colour",))
    async with served(metrics) as port, httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(url(port), headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    families = {family.name: family for family in read_openmetrics(response.text)}
    assert {sample.labels["colour"]: sample.value for sample in families["demo_cats"].samples} == {
        "black": 2,
        "white": 3,
    }
    samples = families["demo_duration_seconds"].samples
    assert [sample.value for sample in samples if sample.name.endswith("_bucket")] == [1] * 14 + [2]
    assert {sample.labels["status"] for sample in samples} == {"200"}


async def test_head_gets_the_head_alone(port: int) -> None:
    head, _, body = (await sent(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Length: " in head
    assert body == b""


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", 404),
        (b"GET /metrics/ HTTP/1.1", 404),
        (b"POST /metrics HTTP/1.1", 405),
        (b"nonsense", 400),
        (b"\xff\x00 \xff", 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: 1\r\n" * 200, 400),
        (b"GET /" + b"x" * MAX_REQUEST_BYTES, 400),
    ],
)
async def test_anything_else_is_refused(port: int, request_line: bytes, status: int) -> None:
    answer = await sent(port, request_line + b"\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 %d " % status)


async def test_a_query_does_no_harm(port: int) -> None:
    assert (await sent(port, b"GET /metrics?name=x HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 ")


async def test_a_port_in_use_is_told_with_the_settings_that_choose_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port}: .*; DEMO_METRICS_HOST and DEMO_METRICS_PORT choose"):
            async with serving_metrics(Settings(metrics_port=port), Metrics(service="demo")):
                pass


@pytest.fixture
def silent(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """Three times as many connections as may be open, on which nothing is sent, and which may take their time."""
    monkeypatch.setattr(metrics_server, "SCRAPE_SECONDS", 600)
    connections = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(3 * MAX_CONNECTIONS)]
    yield connections
    for connection in connections:
        connection.close()


async def test_who_sends_nothing_keeps_nobody_from_an_answer(port: int, silent: list[socket.socket]) -> None:
    assert (await Scraper(url(port))()).value("build_info") == 1

    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.to_thread(silent[0].recv, 1) == b""  # the oldest ones were broken off
    silent[-1].setblocking(False)
    with pytest.raises(BlockingIOError):  # the newest one was not
        silent[-1].recv(1)


@pytest.mark.parametrize("request_line", [b"", b"GET /metrics HTTP/1.1\r\n"], ids=["nothing", "half a request"])
async def test_who_is_too_slow_is_broken_off(request_line: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "SCRAPE_SECONDS", 0.2)
    async with served() as port:
        with contextlib.suppress(ConnectionResetError):
            assert await sent(port, request_line) == b""


async def test_who_does_not_read_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "SCRAPE_SECONDS", 0.5)
    metrics = Metrics(service="demo")
    rows = {"x" * 1_000 + str(row): row for row in range(10_000)}  # more than the kernel keeps
    metrics.gauge("demo_rows", "A long answer.", lambda: rows, ("name",))
    async with served(metrics) as port:
        began = time.monotonic()  # no later than the server's own clock
        async with connected_with_a_small_window("127.0.0.1", port) as connection:
            connection.send(b"GET /metrics HTTP/1.1\r\n\r\n")
            await seconds_until_broken([connection])
        seconds = time.monotonic() - began

    assert 0.3 < seconds < 10


async def test_leaving_breaks_off_what_is_open_and_leaves_nothing_behind() -> None:
    async with served() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await Scraper(url(port))()  # so the connection before it was taken
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    gc.collect()  # what was left behind would warn

    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20)
