"""How soon an answer is counted, and what reading the account costs while numbers are asked for."""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from typing import TypeVar

import httpx

from bench import aims
from bench.answers import EACH_INDEX
from bench.checks import MOST_ROWS, check_account, check_bodies, open_client
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part, Turn, percentile, ratios
from bench.load_client import Contender, LoadClient
from bench.plan import Plan
from bench.steady import Resource, latencies_ms
from bench.system import new_system
from deploy.local.processes import System

T = TypeVar("T")

OURS = "ours"
PER_SECOND = 200
CONNECTIONS = 16
#: Numbers that nothing else here asks for.
FRESH_INDICES = range(101, 901)
FRESH_A_ROUND = 6
PATIENCE_SECONDS = 10.0
#: An answer falls anywhere into the recorder's interval of 50 ms, so the pause before it is up to two of them.
PAUSE_SECONDS = 0.1
_SEED = 20_261


def measure_readings(plan: Plan) -> Part:
    with new_system() as system, open_client() as http, tempfile.TemporaryDirectory() as folder:
        load_client = LoadClient(seconds=plan.seconds, folder=Path(folder))
        readings = _Readings(plan, system=system, http=http, load_client=load_client)
        figures = [*readings.figures()]
    title = f"The account over HTTP; the load is GET /fib, n from 0 to 92, connections: {CONNECTIONS}"
    return Part("stats-readings", title, figures)


def is_account(body: bytes) -> bool:
    """Whether this is GET /stats at its default limit, with something in it."""
    account = json.loads(body)
    return account["total_requests"] > 0 and 0 < len(account["fibonacci_stats"]) <= 100  # noqa: PLR2004


class _Readings:
    def __init__(self, plan: Plan, *, system: System, http: httpx.Client, load_client: LoadClient) -> None:
        self._plan = plan
        self._system = system
        self._http = http
        self._load_client = load_client
        self._load = Contender(name=OURS, port=system.gateway.port, indices=EACH_INDEX, processes=system.services)
        self._fresh = cycle(FRESH_INDICES)
        self._pauses = random.Random(_SEED)  # noqa: S311 - a choice that can be made again
        self._asked: Counter[int] = Counter()

    def figures(self) -> Iterator[Figure]:
        self._asked += check_bodies(self._http, self._system.url)
        idle, loaded = [], []
        alone: list[Turn] = []
        beside: list[Turn] = []
        latencies: list[list[float]] = []
        for _ in range(self._plan.rounds):
            idle += self._freshness_ms()
            alone.append(self._load_client.measure(self._load, CONNECTIONS))
            _, fresh = self._beside_load(self._freshness_ms)
            loaded += fresh
            turn, taken = self._beside_load(self._stats_latencies_ms)
            beside.append(turn)
            latencies.append(taken)
        expected = self._asked + self._load_client.asked[OURS]
        check_account(self._http, self._system.url, expected)
        yield Figure("from an answer until /stats counts it, ms, idle", idle, aims.FRESHNESS_MS)
        yield Figure("from an answer until /stats counts it, ms, under load", loaded, aims.FRESHNESS_MS)
        yield from _stats_figures(latencies)
        rates = [[turn.load.requests_per_second for turn in turns] for turns in (alone, beside)]
        yield Figure("requests/s of the load, alone", rates[0])
        yield Figure(f"requests/s of the load, beside {PER_SECOND} /stats a second", rates[1])
        yield Figure("ratio of them", ratios(rates[1], rates[0]))
        yield Figure("requests that were sent and are counted", [expected.total()])

    def _beside_load(self, measure: Callable[[], T]) -> tuple[Turn, T]:
        with ThreadPoolExecutor(1) as thread:
            load = thread.submit(self._load_client.measure, self._load, CONNECTIONS)
            measured = measure()
            return load.result(), measured

    def _stats_latencies_ms(self) -> list[float]:
        """Any failure fails the run."""
        account = Resource("/stats", is_account)
        return latencies_ms(
            self._system.gateway.port, account, per_second=PER_SECOND, seconds=max(0.1, self._plan.seconds)
        )

    def _freshness_ms(self) -> list[float]:
        return [self._fresh_ms(n) for n in islice(self._fresh, FRESH_A_ROUND)]

    def _fresh_ms(self, n: int) -> float:
        """From the answer for n until its row has that request too."""
        time.sleep(self._pauses.uniform(0, PAUSE_SECONDS))
        self._asked += check_bodies(self._http, self._system.url, (n,))
        answered = time.perf_counter()
        while self._counted(n) < self._asked[n]:
            if time.perf_counter() > answered + PATIENCE_SECONDS:
                raise BenchmarkFailed(f"GET /stats did not count n={n} within {PATIENCE_SECONDS:g} s")
        return (time.perf_counter() - answered) * 1000

    def _counted(self, n: int) -> int:
        response = self._http.get(f"{self._system.url}/stats", params={"limit": MOST_ROWS})
        rows = response.raise_for_status().json()["fibonacci_stats"]
        return next((int(row["request_count"]) for row in rows if row["n"] == n), 0)


def _stats_figures(latencies: list[list[float]]) -> Iterator[Figure]:
    where = f"GET /stats, {PER_SECOND} a second, under load"
    for name, share in (("p50", 0.50), ("p99", 0.99)):
        yield Figure(f"{where}, {name} ms", [percentile(taken, share) for taken in latencies])
    yield Figure(f"{where}, answered, none failed", [sum(map(len, latencies))])
