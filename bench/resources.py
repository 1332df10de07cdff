"""What a process takes of the machine with its children, read from Linux's /proc."""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime
from pathlib import Path

from bench.figures import Load, Turn
from deploy.local.processes import ServiceProcess

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Positions in /proc/PID/stat, counted from behind the program's name, which may itself hold spaces. The ticks are user
# and system time of the process, and of its children that have ended.
_CPU_TICKS = slice(11, 15)
_BORN_TICKS = 19


def measured_turn(processes: Collection[ServiceProcess], requests: int, send: Callable[[], Load]) -> Turn:
    """Sends a load, and tells what each program took of a processor meanwhile."""
    before = cpu_seconds(processes)
    load = send()
    after = cpu_seconds(processes)
    return Turn(load, {program: (after[program] - before[program]) * 1_000_000 / requests for program in after})


def cpu_seconds(processes: Iterable[ServiceProcess]) -> dict[str, float]:
    """Processor time of each program: user and system, in the kernel's ticks (10 ms), with its children."""
    seconds: dict[str, float] = {}
    for process in processes:
        seconds[process.program] = seconds.get(process.program, 0) + _family_cpu_seconds(process.pid)
    return seconds


def pss_bytes(processes: Iterable[ServiceProcess]) -> dict[str, int]:
    """Memory of each process and its children; of a page that several share, each bears its part."""
    return {process.program: _family_pss_bytes(process.pid) for process in processes}


def start_seconds(process: ServiceProcess) -> float:
    """From the process's birth to its line "service.started", within about two ticks (20 ms)."""
    started = datetime.fromisoformat(process.wait_for("service.started")["timestamp"]).timestamp()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    age = uptime - int(_stat(process.pid)[_BORN_TICKS]) / _TICKS_PER_SECOND
    return round(started - (time.time() - age), 2)


def child_pids(pid: int) -> list[int]:
    """The children that have not been reaped, whichever thread started them."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (thread / "children").read_text().split())
    return sorted(found)


def process_cpu_seconds(pid: int) -> float:
    """Processor time of one process, and of its children that have ended."""
    return sum(map(int, _stat(pid)[_CPU_TICKS])) / _TICKS_PER_SECOND


def process_pss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _family_cpu_seconds(pid: int) -> float:
    total = process_cpu_seconds(pid)
    for child in child_pids(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += process_cpu_seconds(child)
    return total


def _family_pss_bytes(pid: int) -> int:
    total = process_pss_bytes(pid)
    for child in child_pids(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, StopIteration):
            total += process_pss_bytes(child)
    return total


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
