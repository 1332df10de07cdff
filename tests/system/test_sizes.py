"""Numbers of millions of digits through the three real processes, and what becomes of a computation in the middle."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import gmpy2
import httpx
import pytest

from deploy.local.processes import System
from tests.system.conftest import LOG_EVERYTHING
from tests.system.workers import (
    computing,
    running,
    stopped_worker,
    used_seconds,
    wait_until,
    wait_until_at_work,
    wait_until_computing,
    workers_of,
)

pytestmark = pytest.mark.slow

MAX_N = 10_000_000
#: Takes a worker a second and more.
LONG_N = 60_000_000
#: It needs a worker, for a moment.
DEAR_N = 300_000
LONG = LOG_EVERYTHING | {
    "FIBONACCI_MAX_N": 100_000_000,
    "FIBONACCI_RANGE_MAX_N": 10_000_000,
    "GATEWAY_DEADLINE_SECONDS": 50,
}
#: A worker whose client is gone has ended or is without a task by then, where it had work for longer.
END_SECONDS = 5

#: Starts the three processes with these settings on top of LONG, and ends them after the test.
Start = Callable[..., System]
Ask = Callable[[str], "Future[httpx.Response]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[System] = []

    def start_system(**settings: object) -> System:
        system = System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=LONG | settings)
        started.append(system)
        system.start()
        return system

    yield start_system
    for system in started:
        system.end()


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Asks in a thread of its own."""
    with ThreadPoolExecutor() as threads:
        yield lambda url: threads.submit(httpx.get, url, timeout=55)


def download(url: str, accept: str) -> httpx.Response:
    response = httpx.get(url, headers={"Accept": accept, "Accept-Encoding": "identity"}, timeout=55)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(accept)
    return response


@contextmanager
def left_in_the_middle(system: System, path: str) -> Iterator[socket.socket]:
    """A bare connection on which something was asked for."""
    with socket.create_connection(("127.0.0.1", system.gateway.port), timeout=50) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())
        yield connection


def test_the_largest_number_is_exact_in_every_form(system: System) -> None:
    number = gmpy2.fib(MAX_N)
    url = f"{system.url}/fib?n={MAX_N}"
    digits = number.digits(10)
    assert download(url, "text/plain").text == digits
    assert download(url, "application/json").json() == {"n": MAX_N, "value": digits}
    assert int.from_bytes(download(url, "application/octet-stream").content, "big") == number
    assert httpx.get(url, headers={"Accept": "text/plain", "Accept-Encoding": "gzip"}, timeout=55).text == digits


@pytest.mark.parametrize("accept", ["text/plain", "application/octet-stream"])
def test_a_download_that_broke_off_is_resumed(system: System, accept: str) -> None:
    url = f"{system.url}/fib?n={MAX_N}"
    headers = {"Accept": accept, "Accept-Encoding": "identity"}
    with httpx.stream("GET", url, headers=headers, timeout=55) as broken:
        beginning = next(broken.iter_bytes(100_000))
    resuming = headers | {"Range": f"bytes={len(beginning)}-", "If-Range": broken.headers["etag"]}
    rest = httpx.get(url, headers=resuming, timeout=55)
    assert rest.status_code == 206
    assert rest.headers["repr-digest"] == broken.headers["repr-digest"]
    assert beginning + rest.content == download(url, accept).content


def test_a_computation_whose_worker_is_killed_is_done_again(start: Start, ask: Ask) -> None:
    system = start()
    with stopped_worker(system, DEAR_N) as worker:
        answer = ask(f"{system.url}/fib?n={LONG_N}")
        wait_until_at_work(system)
        os.kill(worker, signal.SIGKILL)
        response = answer.result()
    assert response.status_code == 200
    system.gateway.wait_for("call.retried")
    assert response.json()["value"] == gmpy2.fib(LONG_N).digits(10)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_client_that_goes_away_ends_its_computation(start: Start, workers: int) -> None:
    system = start(FIBONACCI_WORKERS=workers)
    with stopped_worker(system, DEAR_N) as worker:  # so that it does not come to the end of its work by itself
        with left_in_the_middle(system, f"/fib?n={LONG_N}"):
            wait_until_at_work(system)
        wait_until(lambda: not running({worker}), seconds=END_SECONDS)
    assert httpx.get(f"{system.url}/fib?n=1000000", timeout=55).status_code == 200


def test_a_range_that_is_cut_ends_its_computation(start: Start) -> None:
    system = start()
    with left_in_the_middle(system, "/fib/range?start=2000000&count=1000000") as connection:
        while not any(used_seconds(pid) > 0.5 for pid in workers_of(system.fibonacci)):
            assert connection.recv(1 << 20)
    line = system.fibonacci.wait_for("rpc.served", method="/fibonacci.Fibonacci/StreamRange")
    assert line["code"] == "CANCELLED"
    wait_until(lambda: not computing(workers_of(system.fibonacci)), seconds=END_SECONDS)


@pytest.mark.parametrize(("max_queued_seconds", "waiting"), [(0, 0), (0.01, 1)])
def test_a_full_queue_is_a_429_while_small_numbers_are_answered(
    start: Start, ask: Ask, max_queued_seconds: float, waiting: int
) -> None:
    system = start(FIBONACCI_WORKERS=1, FIBONACCI_WORKERS_MAX_QUEUED_SECONDS=max_queued_seconds)
    with stopped_worker(system, DEAR_N):
        answers = [ask(f"{system.url}/fib?n={LONG_N}")]
        wait_until_at_work(system)
        answers += [ask(f"{system.url}/fib?n={LONG_N + 1 + place}") for place in range(waiting + 1)]
        wait_until(lambda: any(answer.done() for answer in answers[1:]))
        refused = next(answer for answer in answers if answer.done()).result()
        small = httpx.get(f"{system.url}/fib?n=10", timeout=20)  # the worker does not move meanwhile
        assert not answers[0].done()

    assert small.status_code == 200
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert "every worker is busy, for some" in refused.json()["detail"]
    assert sorted(answer.result().status_code for answer in answers) == [200] * (waiting + 1) + [429]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_the_end_of_the_service_leaves_no_worker_behind(start: Start, number: signal.Signals) -> None:
    system = start(FIBONACCI_DRAIN_TIMEOUT_SECONDS=0.5)
    with left_in_the_middle(system, f"/fib?n={LONG_N}"):
        wait_until_computing(system.fibonacci)
        workers = workers_of(system.fibonacci)
        assert system.fibonacci.stop(number) == (0 if number is signal.SIGTERM else -signal.SIGKILL)
        wait_until(lambda: not running(workers), seconds=2)


def test_sigterm_ends_workers_without_a_task_too(start: Start) -> None:
    system = start()
    httpx.get(f"{system.url}/fib?n=3000000", timeout=55)
    workers = workers_of(system.fibonacci)
    assert workers
    assert system.fibonacci.stop() == 0
    assert not running(workers)
    assert not [line for line in system.fibonacci.lines if "Traceback" in str(line)]
