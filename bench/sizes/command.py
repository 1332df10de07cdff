"""Measures what numbers of any size cost in the three real services, beside the bare library, in turns, in one run."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.machine import describe_machine
from bench.options import bounded
from bench.sizes.cancellation import measure_cancellation
from bench.sizes.client import Client
from bench.sizes.figures import FreshIndices, Part
from bench.sizes.library import Library
from bench.sizes.memory import measure_memory
from bench.sizes.plan import SHORT, Plan
from bench.sizes.predictions import measure_predictions
from bench.sizes.ranges import measure_ranges
from bench.sizes.report import as_json, tables
from bench.sizes.starvation import measure_starvation
from bench.sizes.system import new_system
from bench.sizes.values import measure_values


def measure(options: argparse.Namespace) -> None:
    plan = SHORT if options.short else Plan(repetitions=options.repetitions)
    machine = describe_machine()
    parts = []
    for part in measured_parts(plan):
        print(f"measured: {part.key}", file=sys.stderr, flush=True)
        parts.append(part)
    print(tables(parts))
    if options.json is not None:
        options.json.write_text(as_json(parts, machine=machine, plan=asdict(plan)))


def measured_parts(plan: Plan) -> Iterator[Part]:
    """One after the other, since each would disturb the others. Raises BenchmarkFailed."""
    times, fresh = plan.repetitions, FreshIndices()
    with Library() as library:
        with new_system() as system, Client(system.gateway.port) as client:
            yield measure_values(client, library, fresh, indices=plan.indices, repetitions=times)
            yield measure_ranges(
                system, client, library, start=plan.range_start, count=plan.range_count, repetitions=times
            )
            yield measure_starvation(
                system, library, fresh, near=plan.largest, seconds=plan.steady_seconds, pairs=plan.steady_pairs
            )
        yield measure_memory(library, n=plan.largest, repetitions=times)
        yield measure_predictions(library, indices=plan.predicted_indices, repetitions=times)
        yield measure_cancellation(library, fresh, repetitions=times)


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench sizes", description=__doc__)
    parser.add_argument(
        "--repetitions", type=bounded(1, 100), default=Plan().repetitions, metavar="R", help="default %(default)s"
    )
    parser.add_argument("--short", action="store_true", help="once each and with smaller numbers: does it work at all?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write every figure and the machine there")
    return parser.parse_args(arguments)


def what_is_missing() -> str | None:
    if not Path("/proc/self/smaps_rollup").exists():
        return "it needs Linux's /proc, where it reads what the processes take"
    return None
