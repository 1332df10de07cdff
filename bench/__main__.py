"""Measures GET /fib?n=10 of the three real services beside bare ASGI on the same server, in turns, in one run.

`python -m bench sizes` measures what numbers of any size cost instead.
Exit status: 0 measured; 1 FAILED, which means that an answer or the account was wrong; 2 it cannot run here.
"""

import argparse
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

import httpx

from bench.comparison import Plan, compare
from bench.errors import BenchmarkFailed
from bench.h2load import DEBIAN_PACKAGE, PROGRAM
from bench.machine import describe_load_client, describe_machine
from bench.options import bounded
from bench.report import as_json, table
from bench.sizes import command as sizes


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["sizes"]:
        return run(lambda: sizes.measure(sizes.parse_arguments(arguments[1:])), lack=sizes.what_is_missing())
    options = parse_arguments(arguments)
    return run(lambda: measure(options), lack=what_is_missing())


def run(measure_all: Callable[[], None], *, lack: str | None) -> int:
    """Returns the exit status."""
    if lack is not None:
        print(f"bench: {lack}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _end)
    try:
        measure_all()
    except (BenchmarkFailed, TimeoutError, httpx.HTTPError) as error:
        print(f"bench: FAILED: {error}", file=sys.stderr)
        return 1
    return 0


def measure(options: argparse.Namespace) -> None:
    machine = {**describe_machine(), "load_client": describe_load_client()}
    plan = {"pairs": options.pairs, "requests": options.requests, "timeout_seconds": options.timeout_seconds}
    results = [compare(Plan(connections=connections, **plan)) for connections in options.connections]
    print(table(results))
    if options.json is not None:
        options.json.write_text(as_json(results, machine=machine, plan=plan))


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--connections", type=bounded(1, 512), nargs="+", default=[64], metavar="C", help="one or several; default 64"
    )
    parser.add_argument(
        "--requests", type=bounded(1, 1_000_000), default=20_000, metavar="N", help="in a half of a pair; default 20000"
    )
    parser.add_argument("--pairs", type=bounded(1, 100), default=5, metavar="P", help="default 5")
    parser.add_argument(
        "--timeout-seconds", type=bounded(1, 3600), default=120, metavar="S", help="for a half of a pair; default 120"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure and the machine there")
    options = parser.parse_args(arguments)
    if options.requests < max(options.connections):
        parser.error("--requests must be at least --connections")
    return options


def what_is_missing() -> str | None:
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} was not found; install it, for example the Debian package {DEBIAN_PACKAGE}"
    return sizes.what_is_missing()


def _end(number: int, _frame: object) -> NoReturn:
    """Leaves through every `with`, so that what was started is ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
