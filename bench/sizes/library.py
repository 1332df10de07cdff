"""The bare library in one process of its own: what everything else is compared with.

Runs as a process: `python -m bench.sizes.library`.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import gmpy2

from bench.child import Child, serve_tasks
from fibonacci_service.sequence import decimal_terms


@dataclass(frozen=True, slots=True)
class Measured:
    """How long a task took, of the clock and of a processor, and what came of it."""

    seconds: float
    cpu_seconds: float
    length: int
    sha256: str


def value(n: int, repeats: int = 1) -> Iterator[str]:
    """Once, however often it is computed."""
    for _ in range(repeats - 1):
        gmpy2.fib(n).digits(10)
    yield gmpy2.fib(n).digits(10)


def conversions(start: int, count: int) -> Iterator[str]:
    """Consecutive terms, each one converted: what there was before decimal additions."""
    following, term = gmpy2.fib2(start + 1)
    for _ in range(count):
        yield term.digits(10)
        term, following = following, term + following


TASKS: dict[str, Callable[..., Iterable[str | bytes]]] = {
    "value": value,
    "conversions": conversions,
    "generator": decimal_terms,
}


class Library(Child):
    """The process, seen from the benchmark's."""

    def __init__(self) -> None:
        super().__init__("bench.sizes.library")

    def measure(self, task: str, *operands: int) -> Measured:
        """Raises BenchmarkFailed where no answer comes."""
        return Measured(*self.ask(task, *operands))


def lines_sha256(terms: Iterable[bytes]) -> str:
    """Of terms that are each followed by a line feed, as `Measured.sha256` has it."""
    digest = hashlib.sha256()
    for term in terms:
        digest.update(term)
        digest.update(b"\n")
    return digest.hexdigest()


def _measured(task: str, *operands: int) -> tuple[float, float, int, str]:
    started, cpu_started = time.perf_counter(), time.process_time()
    terms = list(TASKS[task](*operands))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    encoded = [term if isinstance(term, bytes) else term.encode() for term in terms]
    sha256 = lines_sha256(encoded) if task != "value" else hashlib.sha256(encoded[0]).hexdigest()
    return seconds, cpu_seconds, sum(map(len, encoded)), sha256


if __name__ == "__main__":
    serve_tasks({task: partial(_measured, task) for task in TASKS})
