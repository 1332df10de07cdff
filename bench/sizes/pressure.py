"""Keeps every worker busy: several connections, each asking for one fresh large number after the other.

Runs as a process, so that reading megabytes does not disturb the client whose latencies count, and gives way to
it: `python -m bench.sizes.pressure PORT CONNECTIONS HIGHEST_N`. It ends with its standard input, after a line for each
number: n, length, SHA-256.
"""

import hashlib
import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.errors import BenchmarkFailed
from bench.sizes.client import Client

END_SECONDS = 30.0
_NICENESS = 19


@dataclass(frozen=True, slots=True)
class Large:
    """One large number as it was answered."""

    n: int
    length: int
    sha256: str


class Pressure:
    """What was answered, known once the process has ended."""

    def __init__(self) -> None:
        self.answered: list[Large] = []


@contextmanager
def pressure(port: int, *, connections: int, highest_n: int) -> Iterator[Pressure]:
    """Keeps the workers busy while it is entered. Raises BenchmarkFailed on leaving when a request was refused."""
    command = [sys.executable, "-m", "bench.sizes.pressure", str(port), str(connections), str(highest_n)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    result = Pressure()
    try:
        yield result
        output, _ = process.communicate("", timeout=END_SECONDS)
    finally:
        process.kill()
        process.wait()
    if process.returncode != 0:
        raise BenchmarkFailed(f"the client that asks for large numbers ended with status {process.returncode}")
    rows = (line.split() for line in output.splitlines())
    result.answered += [Large(int(n), int(length), sha256) for n, length, sha256 in rows]


def main() -> None:
    os.nice(_NICENESS)
    port, connections, highest_n = map(int, sys.argv[1:])
    indices = itertools.count(highest_n, -1)
    ended = threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with Client(port) as client:
                while not ended.is_set():
                    n = next(indices)
                    body = client.get_digits(n).body
                    print(f"{n} {len(body)} {hashlib.sha256(body).hexdigest()}\n", end="", flush=True)
        except Exception as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    ended.set()
    for thread in threads:
        thread.join()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
