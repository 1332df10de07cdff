"""What the worker processes take, as Linux tells it in /proc; the metrics `process_…` are of this process alone."""

import os
import resource
from collections.abc import Callable, Iterable
from pathlib import Path

_PROC = Path("/proc")
_PAGE_BYTES, _TICKS_A_SECOND = resource.getpagesize(), os.sysconf("SC_CLK_TCK")
#: Where the times of a process stand behind its name, which may have spaces in it: in user mode and in the kernel.
_USER, _SYSTEM = 11, 12


def is_told() -> bool:
    """Whether this system has it; macOS does not."""
    return (_PROC / "self" / "statm").exists()


def resident_bytes(pids: Iterable[int]) -> int:
    """The resident memory of all of them. What they share is counted for each."""
    return sum(_resident_bytes(pid) for pid in pids)


class CpuSeconds:
    """The processor time of every worker that there was; it never goes down."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._told = 0.0

    def __call__(self) -> float:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        running = sum(map(_cpu_seconds, self._pids()))
        # One that has just ended may be neither, or nobody's child any more and still in the list.
        self._told = max(self._told, ended.ru_utime + ended.ru_stime + running)
        return self._told


def _resident_bytes(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0  # it has ended


def _cpu_seconds(pid: int) -> float:
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[_USER]) + int(fields[_SYSTEM])) / _TICKS_A_SECOND
