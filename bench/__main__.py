"""Measures GET /fib?n=10 of the three real services beside bare ASGI on the same server, in turns, in one run.

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
from bench.machine import describe_machine
from bench.report import as_json, table


def main(arguments: Sequence[str]) -> int:
    options = parse_arguments(arguments)
    lack = what_is_missing()
    if lack is not None:
        print(f"bench: {lack}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _end)
    try:
        measure(options)
    except (BenchmarkFailed, TimeoutError, httpx.HTTPError) as error:
        print(f"bench: FAILED: {error}", file=sys.stderr)
        return 1
    return 0


def measure(options: argparse.Namespace) -> None:
    machine = describe_machine()
    plan = {"pairs": options.pairs, "requests": options.requests, "timeout_seconds": options.timeout_seconds}
    results = [compare(Plan(connections=connections, **plan)) for connections in options.connections]
    print(table(results))
    if options.json is not None:
        options.json.write_text(as_json(results, machine=machine, plan=plan))


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--connections", type=_whole(1, 512), nargs="+", default=[64], metavar="C", help="one or several; default 64"
    )
    parser.add_argument(
        "--requests", type=_whole(1, 1_000_000), default=20_000, metavar="N", help="in a half of a pair; default 20000"
    )
    parser.add_argument("--pairs", type=_whole(1, 100), default=5, metavar="P", help="default 5")
    parser.add_argument(
        "--timeout-seconds", type=_whole(1, 3600), default=120, metavar="S", help="for a half of a pair; default 120"
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure and the machine there")
    options = parser.parse_args(arguments)
    if options.requests < max(options.connections):
        parser.error("--requests must be at least --connections")
    return options


def what_is_missing() -> str | None:
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} was not found; install it, for example the Debian package {DEBIAN_PACKAGE}"
    if not Path("/proc/self/smaps_rollup").exists():
        return "it needs Linux's /proc, where it reads what the processes take"
    return None


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole_number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:10]) <= most):
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a whole number from {least} to {most}")
        return int(text)

    return whole_number


def _end(number: int, _frame: object) -> NoReturn:
    """Leaves through every `with`, so that what was started is ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
