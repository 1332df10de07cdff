"""The worker processes of fibonacci_service, as seen from outside."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.errors import BenchmarkFailed
from bench.resources import child_pids
from bench.sizes.client import Client
from deploy.local.processes import System

PATIENCE_SECONDS = 15.0
POLL_SECONDS = 0.001
#: The least work that goes to a worker, near enough: it starts one and leaves its memory as it is.
SMALL_INDEX = 160_000


def pool_size() -> int:
    """How many workers a service with default settings may have."""
    return os.cpu_count() or 1


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > patience_ends:
            raise BenchmarkFailed(f"waited {PATIENCE_SECONDS:g} s in vain: {what}")
        time.sleep(POLL_SECONDS)


def end_workers(service_pid: int) -> None:
    """Kills the idle workers, so that the next computation needs a new one."""
    for pid in child_pids(service_pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not child_pids(service_pid), "the workers should have ended")


def start_workers(system: System) -> None:
    """Asks for as many small computations at once as there can be workers, until all of them were started."""
    taken = SMALL_INDEX

    def all_started() -> bool:
        nonlocal taken
        if len(child_pids(system.fibonacci.pid)) < pool_size():
            indices = range(taken, taken + pool_size())
            taken += pool_size()
            with ThreadPoolExecutor(pool_size()) as threads:
                list(threads.map(lambda n: _ask(system, n), indices))
        return len(child_pids(system.fibonacci.pid)) >= pool_size()

    wait_until(all_started, "every worker should have started")


def _ask(system: System, n: int) -> None:
    with Client(system.gateway.port) as client:
        client.get_digits(n)
