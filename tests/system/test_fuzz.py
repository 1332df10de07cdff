"""Whatever is sent to the real processes, it is answered or refused, and what is answered after it is counted."""

import os
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import httpx
import pytest

from bench.resources import child_pids
from deploy.local.processes import System
from tests.system.account import total
from tests.system.conftest import Report
from tests.system.fuzz.attack import Verdicts, attack_frames, attack_grpc, attack_http, attack_raw
from tests.system.fuzz.frames import connections
from tests.system.fuzz.messages import calls
from tests.system.fuzz.raw_http import raw_requests
from tests.system.fuzz.requests import requests
from tests.system.resources import descriptor_count, own_bytes
from tests.system.workers import wait_until

pytestmark = pytest.mark.slow

#: FUZZ_SEED takes another one.
SEED = 20_011_235
RAW_REQUESTS = 25_000
REQUESTS = 40_000
CALLS = 23_000
CONNECTIONS = 12_000
INPUTS = RAW_REQUESTS + REQUESTS + CALLS + CONNECTIONS
NORMAL_REQUESTS = 100
#: So low that what is kept by intention is full long before the middle of the attack, and each answer is short.
LIMITS = {
    "FIBONACCI_MAX_N": 100_000,
    "FIBONACCI_RANGE_MAX_N": 1_000,
    "FIBONACCI_WORKERS": 1,
    "FIBONACCI_CACHE_BYTES": 4 << 20,
    "STATS_MAX_NUMBERS": 1_000,
    "STATS_MAX_HISTOGRAMS": 100,
    "STATS_TIDY_INTERVAL_SECONDS": 1,
}
#: How much more a process may hold at the end of the attack than in its middle: 168 bytes for each input between them.
MORE_BYTES = 8 << 20
MORE_DESCRIPTORS = 8
#: Of a process without clients.
MOST_DESCRIPTORS = 60
#: Stands before what a client says when it goes away, where gRPC writes it among the log lines.
OF_CLIENTS = "Debug Text"


@pytest.fixture
def limited_system(tmp_path: Path) -> Iterator[System]:
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=LIMITS) as running:
        yield running


@pytest.mark.timeout(300)
async def test_a_hundred_thousand_malformed_inputs_are_refused_and_nothing_leaks(
    limited_system: System, report: Report
) -> None:
    system = limited_system
    seed = int(os.environ.get("FUZZ_SEED") or SEED)
    print(f"FUZZ_SEED={seed}")  # noqa: T201 - pytest shows it where the test fails
    attack = halves_of_an_attack(system, random.Random(seed))  # noqa: S311 - it has to repeat itself
    first = await anext(attack)
    bytes_before, descriptors_before = at_rest(system)
    second = await anext(attack)
    bytes_after, descriptors_after = at_rest(system)
    more = {name: bytes_after[name] - held for name, held in bytes_before.items()}
    report(f"{INPUTS} inputs of seed {seed}; more bytes {more}; descriptors {descriptors_before}, {descriptors_after}")

    for verdicts in (first, second):
        assert not verdicts.harmful, f"{len(verdicts.harmful)} of them, such as {verdicts.harmful[:3]}"
    assert first.sent + second.sent == INPUTS
    assert_of_every_kind(first)
    assert max(more.values()) < MORE_BYTES, more
    for name, held in descriptors_before.items():
        assert descriptors_after[name] <= held + MORE_DESCRIPTORS, name
    await assert_unharmed(system)


async def halves_of_an_attack(system: System, random_: random.Random) -> AsyncIterator[Verdicts]:
    """Each with all kinds of inputs, one kind after another."""
    ports = {"fibonacci": system.fibonacci.port, "stats": system.stats.port}
    for _ in range(2):
        verdicts = await attack_raw(system.gateway.port, raw_requests(random_, RAW_REQUESTS // 2))
        verdicts.add(await attack_http(system.gateway.port, requests(random_, REQUESTS // 2)))
        verdicts.add(await attack_grpc(ports, calls(random_, CALLS // 2)))
        for service, port in ports.items():
            verdicts.add(await attack_frames(port, connections(random_, CONNECTIONS // 4, service)))
        yield verdicts


def assert_of_every_kind(verdicts: Verdicts) -> None:
    """The attack reached what it is for: more than a few inputs were answered, and refused for every reason."""
    http = (200, 400, 404, 405, 413, 414, 415, 431)
    codes = ("OK", "INVALID_ARGUMENT", "OUT_OF_RANGE", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED")
    expected = (*http, *(grpc.StatusCode[code] for code in codes))
    assert [status for status in expected if verdicts.statuses[status] < 10] == []
    assert verdicts.statuses[200] > 500
    assert verdicts.statuses[grpc.StatusCode.OK] > 1_000


def at_rest(system: System) -> tuple[dict[str, int], dict[str, int]]:
    """Memory of each process with its children, and its descriptors, once the connections of the attack are gone."""
    wait_until(lambda: max(descriptors(system).values()) < MOST_DESCRIPTORS)
    held = {
        service.program: sum(map(own_bytes, (service.pid, *child_pids(service.pid)))) for service in system.services
    }
    return held, descriptors(system)


def descriptors(system: System) -> dict[str, int]:
    return {service.program: descriptor_count(service.pid) for service in system.services}


async def assert_unharmed(system: System) -> None:
    """Normal requests are answered and counted one by one, no request crashed, and every process ends in order."""
    restart_fibonacci(system)
    before = total(system)
    async with httpx.AsyncClient(base_url=system.url, timeout=30, trust_env=False) as client:
        answers = [(await client.get("/fib?n=10")).json() for _ in range(NORMAL_REQUESTS)]
    assert answers == [{"n": 10, "x": 55, "value": "55"}] * NORMAL_REQUESTS
    restart_fibonacci(system)
    assert before >= 0
    assert total(system) - before == NORMAL_REQUESTS
    for service in reversed(system.services):
        assert service.stop() == 0
        assert service.count("http.crashed") + service.count("rpc.crashed") + service.count("task.crashed") == 0
        assert [line for line in service.lines if OF_CLIENTS in str(line)] == []


def restart_fibonacci(system: System) -> None:
    """Once fibonacci_service has ended, what it answered is recorded."""
    assert system.fibonacci.stop() == 0
    system.fibonacci.start()
