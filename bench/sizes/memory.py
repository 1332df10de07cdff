"""Peak memory of each process above its idle one, while the whole system serves one large number.

Each repetition has new processes, whose workers have done a small computation: what a process took for an earlier
large number and kept cannot make the next one look cheap, nor can the cache's copy make it look dear.
"""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from bench import aims
from bench.figures import Figure, Part
from bench.resources import child_pids, process_pss_bytes
from bench.sizes.client import Client, check_digits
from bench.sizes.library import Library
from bench.sizes.workers import start_workers
from bench.system import new_system
from deploy.local.processes import System

ALL = "fibonacci_service with its workers"
_SAMPLE_SECONDS = 0.001
_RESET_PEAK = "5"


class PeakWatch:
    """While it is entered, the kernel notes the peak resident size of each process; a thread samples their PSS."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.samples: list[dict[str, int]] = []

    def __enter__(self) -> Self:
        for pid in self._pids.values():
            Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)
        self._idle_rss = {name: _status_bytes(pid, "VmHWM") for name, pid in self._pids.items()}
        self.samples.append(self._read())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def peak_rss_growth(self) -> dict[str, int]:
        """Exact, for the kernel forgets no peak."""
        return {name: _status_bytes(pid, "VmHWM") - self._idle_rss[name] for name, pid in self._pids.items()}

    def peak_pss_growth(self, measure: Callable[[Mapping[str, int]], int]) -> int:
        """Of what is made of a sample: the largest less the first."""
        sizes = [measure(sample) for sample in self.samples]
        return max(sizes) - sizes[0]

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.samples.append(self._read())

    def _read(self) -> dict[str, int]:
        return {name: process_pss_bytes(pid) for name, pid in self._pids.items()}


def measure_memory(library: Library, *, n: int, repetitions: int) -> Part:
    expected = library.measure("value", n)
    copies: dict[str, list[float]] = {}
    for _ in range(repetitions):
        with new_system() as system, Client(system.gateway.port) as client:
            start_workers(system)
            with PeakWatch(_pids(system)) as watch:
                check_digits(n, client.get_digits(n).body, expected)
            for name, growth in _growths(watch).items():
                copies.setdefault(name, []).append(growth / expected.length)
    figures = [Figure(name, samples, aims.COPIES if "PSS" in name else None) for name, samples in copies.items()]
    return Part("memory", f"Peak memory above idle while F({n:,}) is served, in copies of its digits", figures)


def _growths(watch: PeakWatch) -> dict[str, int]:
    """PSS as it was sampled, and the resident size as the kernel noted it."""
    rss = watch.peak_rss_growth()
    pss = {name: watch.peak_pss_growth(lambda sample, name=name: sample[name]) for name in rss}  # type: ignore[misc]
    family = watch.peak_pss_growth(lambda sample: sum(size for name, size in sample.items() if _is_family(name)))
    return {
        **{f"PSS, {name}": growth for name, growth in pss.items()},
        f"together, {ALL}": family,
        **{f"RSS, {name}": growth for name, growth in rss.items()},
    }


def _is_family(name: str) -> bool:
    return name.startswith(("fibonacci_service", "worker"))


def _pids(system: System) -> dict[str, int]:
    services = {service.program: service.pid for service in system.services}
    workers = {f"worker {number}": pid for number, pid in enumerate(child_pids(system.fibonacci.pid), 1)}
    return {**services, **workers}


def _status_bytes(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{field}:"))
