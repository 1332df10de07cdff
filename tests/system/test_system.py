"""One pass over the three real processes, as a user would try them."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest

from deploy.local.processes import System
from tests.system.account import settled_total
from tests.system.conftest import LOG_EVERYTHING


def test_the_numbers_and_their_account_reach_the_user(system: System) -> None:
    for n, x in ((10, 55), (10, 55), (0, 0), (92, 7540113804746346429)):
        assert httpx.get(f"{system.url}/fib?n={n}").json() == {"n": n, "x": x, "value": str(x)}
    assert httpx.get(f"{system.url}/fib?n=100").json() == {"n": 100, "value": "354224848179261915075"}
    assert settled_total(system, 5) == 5

    busiest = httpx.get(f"{system.url}/stats").json()["fibonacci_stats"][0]

    assert (busiest["n"], busiest["request_count"], busiest["cache_hits"]) == (10, 2, 1)
    assert 0 < busiest["average_time_ms"] < 1000


def test_one_request_id_is_in_the_line_of_every_service(system: System) -> None:
    headers = {"X-Request-ID": "followed-1"}
    httpx.get(f"{system.url}/fib?n=7", headers=headers)
    httpx.get(f"{system.url}/fib?n=7000", headers=headers)
    httpx.get(f"{system.url}/stats", headers=headers)

    system.gateway.wait_for("http.served", request_id="followed-1", path="/stats")
    assert system.fibonacci.wait_for("item.served", request_id="followed-1")["cached"] is False
    assert system.fibonacci.wait_for("rpc.served", request_id="followed-1", n=7000)["cached"] is False
    system.stats.wait_for("rpc.served", request_id="followed-1", method="/stats.Stats/ListStats")


async def test_identical_requests_at_once_are_computed_once(system: System) -> None:
    async with httpx.AsyncClient() as client:
        answers = await asyncio.gather(*(client.get(f"{system.url}/fib?n=100000") for _ in range(20)))
        assert len({answer.text for answer in answers}) == 1
        assert settled_total(system, 20) == 20

        [number] = (await client.get(f"{system.url}/stats")).json()["fibonacci_stats"]

    assert (number["request_count"], number["cache_hits"]) == (20, 19)


def test_the_account_survives_a_restart(system: System) -> None:
    httpx.get(f"{system.url}/fib?n=10")
    assert settled_total(system, 1) == 1

    assert system.stats.stop() == 0
    system.stats.start()

    assert settled_total(system, 1) == 1


def test_a_signal_ends_each_service_cleanly_and_flushes_the_records(tmp_path: Path) -> None:
    settings = {**LOG_EVERYTHING, "FIBONACCI_STATS_INTERVAL_SECONDS": 60}
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
        httpx.get(f"{system.url}/fib?n=10")

        assert [service.stop(signal.SIGINT) for service in reversed(system.services)] == [0, 0, 0]

        flushed = system.fibonacci.wait_for("stats.flushed")
        assert (flushed["served"], flushed["recorded"], flushed["dropped"]) == (1, 1, 0)
        assert all("Traceback" not in str(line) for service in system.services for line in service.lines)


@pytest.mark.parametrize("program", ["stats_service", "fibonacci_service", "api_gateway"])
def test_a_port_in_use_is_one_line_that_names_the_port_and_the_setting(system: System, program: str) -> None:
    taken = next(service for service in system.services if service.program == program)
    second = type(taken)(program, taken.settings)
    with pytest.raises(TimeoutError, match="never logged"):
        second.start()

    assert second.stop() == 1
    [line] = [line for line in second.lines if "event" not in line]
    assert f"port {taken.port}" in line["text"]
    assert "_LISTEN_PORT" in line["text"]
