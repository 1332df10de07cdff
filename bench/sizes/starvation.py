"""What small requests notice of large computations on every worker."""

import time

from bench import aims
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part, percentile, ratios
from bench.resources import child_pids, process_cpu_seconds
from bench.sizes.client import check_large
from bench.sizes.fresh_indices import FreshIndices
from bench.sizes.library import Library
from bench.sizes.pressure import Large, pressure
from bench.sizes.workers import pool_size, wait_until
from bench.steady import SMALL_NUMBER, latencies_ms
from deploy.local.processes import System

PER_SECOND = 200
#: Indices set aside for one loaded half; it answers a few a second.
RESERVED = 2_000
#: Processor time after which all workers count as busy.
BUSY_SECONDS = 0.2
#: How many of the large answers of a half are computed again by the bare library.
CHECKED = 3
#: So many connections above the workers, so that each worker finds its next task waiting.
MORE_CONNECTIONS = 1


def measure_starvation(
    system: System, library: Library, fresh: FreshIndices, *, near: int, seconds: float, pairs: int
) -> Part:
    idle: list[list[float]] = []
    loaded: list[list[float]] = []
    busy: list[float] = []
    latencies_ms(system.gateway.port, SMALL_NUMBER, per_second=PER_SECOND, seconds=1)
    for _ in range(pairs):
        idle.append(latencies_ms(system.gateway.port, SMALL_NUMBER, per_second=PER_SECOND, seconds=seconds))
        half, cores = _loaded(system, library, fresh.take(near, RESERVED), seconds)
        loaded.append(half)
        busy.append(cores)
    return Part("starvation", _title(near), _figures(idle, loaded, busy))


def _loaded(system: System, library: Library, highest_n: int, seconds: float) -> tuple[list[float], float]:
    """The latencies, and how many processors the workers had meanwhile."""
    connections = pool_size() + MORE_CONNECTIONS
    with pressure(system.gateway.port, connections=connections, highest_n=highest_n) as large:
        before = _workers_cpu_seconds(system)
        wait_until(lambda: _workers_cpu_seconds(system) > before + BUSY_SECONDS, "the workers should be busy")
        started, before = time.monotonic(), _workers_cpu_seconds(system)
        latencies = latencies_ms(system.gateway.port, SMALL_NUMBER, per_second=PER_SECOND, seconds=seconds)
        cores = (_workers_cpu_seconds(system) - before) / (time.monotonic() - started)
    _check(large.answered, library)
    return latencies, cores


def _check(answered: list[Large], library: Library) -> None:
    if not answered:
        raise BenchmarkFailed("no large number was answered")
    for large in answered[:CHECKED]:
        check_large(large.n, large.length, large.sha256, library.measure("value", large.n))


def _workers_cpu_seconds(system: System) -> float:
    return sum(map(process_cpu_seconds, child_pids(system.fibonacci.pid)))


def _figures(idle: list[list[float]], loaded: list[list[float]], busy: list[float]) -> list[Figure]:
    figures = []
    for name, share, aim in (("p50", 0.50, None), ("p99", 0.99, aims.P99_BUSY_TO_IDLE)):
        alone = [percentile(half, share) for half in idle]
        beside = [percentile(half, share) for half in loaded]
        figures += [
            Figure(f"{name} ms, idle", alone),
            Figure(f"{name} ms, every worker busy", beside),
            Figure(f"ratio of {name}, busy/idle", ratios(beside, alone), aim),
        ]
    return [*figures, Figure("processors that the workers had meanwhile", busy)]


def _title(near: int) -> str:
    return f"GET /fib?n=10 at {PER_SECOND} requests a second, idle and while every worker computes F({near:,})"
