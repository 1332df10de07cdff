"""The parts as tables for people and as JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bench.figures import Figure, Part

_HEADING = ["", "median (least-most)", "aim", "met"]
_MET = {None: "", True: "yes", False: "NO"}
_SIGNIFICANT_DIGITS = 4


def table(part: Part) -> str:
    return f"**{part.title}**\n\n{_markdown([_HEADING, *map(_cells, part.figures)])}"


def as_json(parts: Sequence[Part], *, machine: Mapping[str, object], plan: Mapping[str, object]) -> str:
    written = {part.key: [_as_dictionary(figure) for figure in part.figures] for part in parts}
    return json.dumps({"machine": machine, "plan": plan, "parts": written}, indent=2) + "\n"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose lines are of one width; the first is its heading."""
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(lines[0]))]
    rule = ["-" * width for width in widths]
    return "\n".join(_line(cells, widths) for cells in [lines[0], rule, *lines[1:]])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _cells(figure: Figure) -> list[str]:
    spread = figure.spread
    middle, least, most = map(_text, (spread.median, spread.least, spread.most))
    spread_text = middle if len(figure.samples) == 1 else f"{middle} ({least}-{most})"
    return [figure.name, spread_text, str(figure.aim or ""), _MET[figure.meets_aim]]


def _as_dictionary(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        **asdict(figure.spread),
        "aim": str(figure.aim) if figure.aim else None,
        "met": figure.meets_aim,
        "samples": [float(f"{sample:.6g}") for sample in figure.samples],
    }


def _text(figure: float) -> str:
    """Four significant digits, at most three decimals, and a whole number whole."""
    if isinstance(figure, int):
        return str(figure)
    whole_digits = len(str(int(abs(figure))))
    return f"{figure:.{min(3, max(0, _SIGNIFICANT_DIGITS - whole_digits))}f}"
