"""The worker processes of fibonacci_service, as the kernel shows them. Linux only."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from deploy.local.processes import ServiceProcess, System
from tests.system.scraped import scraped

#: After the name in /proc/PID/stat: the state, the parent, and the ticks of a hundredth of a second that were used.
_STATE, _PARENT, _USER_TICKS, _SYSTEM_TICKS = 0, 1, 11, 12
_COMPUTING = frozenset("RD")
_ENDED = frozenset("ZX")


def workers_of(service: ServiceProcess) -> set[int]:
    """Those that have not ended."""
    found = ((int(folder.name), _facts(int(folder.name))) for folder in Path("/proc").glob("[0-9]*"))
    return {pid for pid, facts in found if facts and int(facts[_PARENT]) == service.pid and facts[_STATE] not in _ENDED}


def running(pids: set[int]) -> set[int]:
    """Those of the processes that have not ended, whoever is their parent now."""
    return {pid for pid in pids if (facts := _facts(pid)) and facts[_STATE] not in _ENDED}


def computing(pids: set[int]) -> set[int]:
    """Those that run, or would if a processor were free; one without a task sleeps."""
    return {pid for pid in pids if (facts := _facts(pid)) and facts[_STATE] in _COMPUTING}


@contextmanager
def stopped_worker(system: System, n: int) -> Iterator[int]:
    """The only worker, started with F(n): what it is given now, it begins when this ends, or at SIGCONT."""
    httpx.get(f"{system.url}/fib?n={n}", timeout=60).raise_for_status()
    [worker] = workers_of(system.fibonacci)
    os.kill(worker, signal.SIGSTOP)
    try:
        yield worker
    finally:
        with suppress(ProcessLookupError):  # where it was killed meanwhile
            os.kill(worker, signal.SIGCONT)


def wait_until_at_work(system: System) -> None:
    """Waits until a worker was given a task; a stopped one has it until it goes on or is killed."""
    wait_until(lambda: scraped(system, system.fibonacci).value("fibonacci_worker_tasks", state="at_work") >= 1)


def used_seconds(pid: int) -> float:
    """Of a processor; 0 where the process is gone."""
    facts = _facts(pid)
    return (int(facts[_USER_TICKS]) + int(facts[_SYSTEM_TICKS])) / 100 if facts else 0


def wait_until_computing(service: ServiceProcess, *, seconds: float = 0.5) -> set[int]:
    """Waits until some workers have used a processor for so long, which is more than their start takes."""

    def hard_at_work() -> set[int]:
        pids = computing(workers_of(service))
        return {pid for pid in pids if used_seconds(pid) > seconds}

    wait_until(lambda: bool(hard_at_work()))
    return hard_at_work() or workers_of(service)


def wait_until(true: Callable[[], bool], *, seconds: float = 20) -> float:
    """How long it took until something was true; raises TimeoutError where that is too long."""
    started = time.monotonic()
    while not true():
        if time.monotonic() > started + seconds:
            raise TimeoutError
        time.sleep(0.002)
    return time.monotonic() - started


def _facts(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
