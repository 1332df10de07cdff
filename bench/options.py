"""The command line of the benchmark."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.plan import SHORT, Plan

#: What is measured where nothing is named.
DEFAULT_MEASUREMENTS = ("gateway", "rpc", "replicas", "stats")
FURTHER_MEASUREMENTS = ("sizes", "overload", "telemetry", "soak")


@dataclass(frozen=True, slots=True)
class Options:
    measurements: Sequence[str]
    plan: Plan
    json: Path | None


def parse_arguments(arguments: Sequence[str]) -> Options:
    given = _parser().parse_args(arguments)
    plan = SHORT if given.short else Plan()
    if given.rounds is not None:
        plan = plan.with_rounds(given.rounds)
    chosen = {name: getattr(given, name) for name in ("connections", "seconds", "numbers", "minutes")}
    plan = replace(plan, **{name: value for name, value in chosen.items() if value is not None})
    return Options(given.measurements or DEFAULT_MEASUREMENTS, plan, given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures the real services beside what does less, in turns, in one run."
    )
    every = (*DEFAULT_MEASUREMENTS, *FURTHER_MEASUREMENTS)
    parser.add_argument(
        "measurements",
        nargs="*",
        type=_one_of(every),
        metavar="MEASUREMENT",
        help=f"of {', '.join(every)}; by default {', '.join(DEFAULT_MEASUREMENTS)}",
    )
    add = parser.add_argument
    add("--short", action="store_true", help="each once and little of it: does it work at all?")
    add("--rounds", type=bounded(1, 100), metavar="R", help="default 5; of sizes 7")
    add("--seconds", type=bounded(1, 600), metavar="S", help="about how long each load takes; default 1")
    add("--connections", type=_connections, metavar="C,C", help="of gateway; default 1,16,64,256")
    add("--numbers", type=bounded(1_000, 10_000_000), metavar="N", help="in the large account; default 1000000")
    add("--minutes", type=bounded(1, 1_000), metavar="M", help="of soak; default 5")
    add("--json", type=Path, metavar="PATH", help="write every figure and the machine there")
    return parser


def bounded(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that is a whole number within these bounds."""

    def whole_number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:10]) <= most):
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a whole number from {least} to {most}")
        return int(text)

    return whole_number


def _one_of(names: Sequence[str]) -> Callable[[str], str]:
    """Argparse's own `choices` refuse an empty list."""

    def name(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is none of {', '.join(names)}")
        return text

    return name


def _connections(text: str) -> tuple[int, ...]:
    return tuple(map(bounded(1, 512), text.split(",")))
