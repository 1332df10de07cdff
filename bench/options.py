"""What the command lines of the benchmarks share."""

import argparse
from collections.abc import Callable


def bounded(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that is a whole number within these bounds."""

    def whole_number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text[:10]) <= most):
            raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a whole number from {least} to {most}")
        return int(text)

    return whole_number
