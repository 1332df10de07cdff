"""The figures as a table for people and as JSON for machines."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from bench.figures import Pair, Result, Spread

Row = tuple[str, list[str]]


def table(results: Sequence[Result]) -> str:
    """One Markdown table with a column for each number of connections: medians, least and most in brackets."""
    heading = ["", *(f"connections: {result.connections}" for result in results)]
    return markdown(heading, [[label, *cells] for label, cells in _rows(results)])


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose lines are of one width."""
    widths = [max(3, *(len(line[column]) for line in [heading, *rows])) for column in range(len(heading))]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(cells, widths) for cells in [heading, rule, *rows])


def as_json(results: Sequence[Result], *, machine: Mapping[str, object], plan: Mapping[str, object]) -> str:
    """The same figures in full; times and sizes carry their unit in their name."""
    runs = [
        {**asdict(result), "ratio_to_ceiling": asdict(Spread.of([pair.ratio for pair in result.pairs]))}
        for result in results
    ]
    return json.dumps({"machine": machine, "plan": plan, "runs": runs}, indent=2) + "\n"


def _rows(results: Sequence[Result]) -> list[Row]:
    programs = list(results[0].start_seconds)
    measured = list(results[0].pairs[0].cpu_us)
    return [
        _spread_row("requests/s, ours", results, lambda pair: pair.ours.requests_per_second, ".0f"),
        _spread_row("requests/s, ceiling", results, lambda pair: pair.ceiling.requests_per_second, ".0f"),
        _spread_row("ratio ours/ceiling", results, lambda pair: pair.ratio, ".3f"),
        _spread_row("p50 ms, ours", results, lambda pair: pair.ours.p50_ms, ".2f"),
        _spread_row("p50 ms, ceiling", results, lambda pair: pair.ceiling.p50_ms, ".2f"),
        _spread_row("p99 ms, ours", results, lambda pair: pair.ours.p99_ms, ".2f"),
        _spread_row("p99 ms, ceiling", results, lambda pair: pair.ceiling.p99_ms, ".2f"),
        *(_cpu_row(program, results) for program in measured),
        *(_memory_row(program, results) for program in programs),
        *(_start_row(program, results) for program in programs),
        ("requests sent = counted", [str(result.counted) for result in results]),
    ]


def _spread_row(label: str, results: Sequence[Result], figure: Callable[[Pair], float], form: str) -> Row:
    spreads = [Spread.of([figure(pair) for pair in result.pairs]) for result in results]
    return label, [f"{s.median:{form}} ({s.least:{form}}-{s.most:{form}})" for s in spreads]


def _cpu_row(program: str, results: Sequence[Result]) -> Row:
    return _spread_row(f"CPU us/request, {program}", results, lambda pair: pair.cpu_us[program], ".1f")


def _memory_row(program: str, results: Sequence[Result]) -> Row:
    label = f"PSS MiB at rest, after load, {program}"
    sizes = [(result.pss_at_rest_bytes[program], result.pss_after_load_bytes[program]) for result in results]
    return label, [f"{at_rest / 2**20:.1f}, {after / 2**20:.1f}" for at_rest, after in sizes]


def _start_row(program: str, results: Sequence[Result]) -> Row:
    return f"start-up s, {program}", [f"{result.start_seconds[program]:.2f}" for result in results]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"
