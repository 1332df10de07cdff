"""Measures the real services beside what does less, in turns, in one run, and checks every answer and the account.

Exit status: 0 measured; 1 FAILED, which means that an answer or the account was wrong; 2 it cannot run here.
"""

import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import httpx

from bench.errors import BenchmarkFailed
from bench.figures import Part
from bench.gateway.measurement import measure_gateway
from bench.h2load import DEBIAN_PACKAGE, PROGRAM
from bench.machine import describe_machine
from bench.options import Options, parse_arguments
from bench.overload import measure_overload
from bench.plan import Plan
from bench.replicas import measure_replicas
from bench.report import as_json, table
from bench.rpc.measurement import measure_rpc
from bench.sizes.measurement import measure_sizes
from bench.soak import measure_soak
from bench.stats.measurement import measure_stats
from bench.telemetry.measurement import measure_telemetry

MEASUREMENTS: dict[str, Callable[[Plan], Iterator[Part]]] = {
    "gateway": measure_gateway,
    "rpc": measure_rpc,
    "replicas": measure_replicas,
    "stats": measure_stats,
    "sizes": lambda plan: measure_sizes(plan.sizes),
    "overload": measure_overload,
    "telemetry": measure_telemetry,
    "soak": measure_soak,
}


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
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


def measure(options: Options) -> None:
    """Tells each part as soon as it is measured; writes the file once all of them are."""
    machine = describe_machine()
    parts = []
    for name in options.measurements:
        for part in MEASUREMENTS[name](options.plan):
            print(table(part), end="\n\n", flush=True)
            parts.append(part)
    if options.json is not None:
        options.json.write_text(as_json(parts, machine=machine, plan=asdict(options.plan)))


def what_is_missing() -> str | None:
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} was not found; install it, for example the Debian package {DEBIAN_PACKAGE}"
    if not Path("/proc/self/smaps_rollup").exists():
        return "it needs Linux's /proc, where it reads what the processes take"
    return None


def _end(number: int, _frame: object) -> NoReturn:
    """Leaves through every `with`, so that what was started is ended."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
