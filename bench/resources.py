"""What a process takes of the machine, read from Linux's /proc."""

import os
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from deploy.local.processes import ServiceProcess

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Positions in /proc/PID/stat, counted from behind the program's name, which may itself hold spaces.
_USER_TICKS, _SYSTEM_TICKS, _BORN_TICKS = 11, 12, 19


def cpu_seconds(processes: Iterable[ServiceProcess]) -> dict[str, float]:
    """Processor time of each process so far, user and system, in steps of the kernel's tick (10 ms)."""
    return {process.program: _cpu_seconds(process.pid) for process in processes}


def pss_bytes(processes: Iterable[ServiceProcess]) -> dict[str, int]:
    """Memory of each process; of a page that several share, each bears its part."""
    return {process.program: _pss_bytes(process.pid) for process in processes}


def start_seconds(process: ServiceProcess) -> float:
    """From the process's birth to its line "service.started", within about two ticks (20 ms)."""
    started = datetime.fromisoformat(process.wait_for("service.started")["timestamp"]).timestamp()
    uptime = float(Path("/proc/uptime").read_text().split()[0])
    age = uptime - int(_stat(process.pid)[_BORN_TICKS]) / _TICKS_PER_SECOND
    return round(started - (time.time() - age), 2)


def _cpu_seconds(pid: int) -> float:
    fields = _stat(pid)
    return (int(fields[_USER_TICKS]) + int(fields[_SYSTEM_TICKS])) / _TICKS_PER_SECOND


def _pss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
