"""The bare library in one process of its own: what everything else is compared with.

Runs as a process: `python -m bench.sizes.library`, a JSON object a line in and out.
"""

import hashlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import gmpy2

from bench.errors import BenchmarkFailed
from fibonacci_service.sequence import decimal_terms

TIMEOUT_SECONDS = 120.0


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


class Library:
    """The process, seen from the benchmark's."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.sizes.library"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def measure(self, task: str, *operands: int) -> Measured:
        """Raises BenchmarkFailed where no answer comes."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        print(json.dumps([task, operands]), file=self._process.stdin, flush=True)
        readable, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        if not line:
            raise BenchmarkFailed(f"the bare library did not finish {task}{operands}")
        return Measured(*json.loads(line))


def lines_sha256(terms: Iterable[bytes]) -> str:
    """Of terms that are each followed by a line feed, as `Measured.sha256` has it."""
    digest = hashlib.sha256()
    for term in terms:
        digest.update(term)
        digest.update(b"\n")
    return digest.hexdigest()


def _measured(task: str, operands: list[int]) -> Measured:
    started, cpu_started = time.perf_counter(), time.process_time()
    terms = list(TASKS[task](*operands))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    encoded = [term if isinstance(term, bytes) else term.encode() for term in terms]
    sha256 = lines_sha256(encoded) if task != "value" else hashlib.sha256(encoded[0]).hexdigest()
    return Measured(seconds, cpu_seconds, sum(map(len, encoded)), sha256)


def main() -> None:
    for line in sys.stdin:
        task, operands = json.loads(line)
        done = _measured(task, operands)
        print(json.dumps([done.seconds, done.cpu_seconds, done.length, done.sha256]), flush=True)


if __name__ == "__main__":
    main()
