"""The parts as tables for people and as JSON for machines."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from bench.report import markdown
from bench.sizes.figures import Figure, Part

_HEADING = ["", "median (least-most)", "aim", "met"]
_MET = {None: "", True: "yes", False: "NO"}
_SIGNIFICANT_DIGITS = 4


def tables(parts: Sequence[Part]) -> str:
    return "\n\n".join(f"**{part.title}**\n\n{markdown(_HEADING, list(map(_cells, part.figures)))}" for part in parts)


def as_json(parts: Sequence[Part], *, machine: Mapping[str, object], plan: Mapping[str, object]) -> str:
    written = {part.key: [_as_dictionary(figure) for figure in part.figures] for part in parts}
    return json.dumps({"machine": machine, "plan": plan, "parts": written}, indent=2) + "\n"


def _cells(figure: Figure) -> list[str]:
    spread = figure.spread
    middle, least, most = map(_text, (spread.median, spread.least, spread.most))
    return [figure.name, f"{middle} ({least}-{most})", str(figure.aim or ""), _MET[figure.meets_aim]]


def _as_dictionary(figure: Figure) -> dict[str, object]:
    return {
        "name": figure.name,
        **asdict(figure.spread),
        "aim": str(figure.aim) if figure.aim else None,
        "met": figure.meets_aim,
        "samples": [float(f"{sample:.6g}") for sample in figure.samples],
    }


def _text(figure: float) -> str:
    """Four significant digits, and at most three decimals."""
    whole_digits = len(str(int(abs(figure))))
    return f"{figure:.{min(3, max(0, _SIGNIFICANT_DIGITS - whole_digits))}f}"
