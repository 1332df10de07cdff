"""What the parts of the benchmark hand over: named samples, and what they aim at. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.figures import Spread


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a median should lie. Missing it is told and fails nothing."""

    bound: float
    at_least: bool = False

    def is_met(self, median: float) -> bool:
        return median >= self.bound if self.at_least else median <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured several times; the unit is a part of its name."""

    name: str
    samples: Sequence[float]
    aim: Aim | None = None

    @property
    def spread(self) -> Spread:
        return Spread.of(self.samples)

    @property
    def meets_aim(self) -> bool | None:
        return None if self.aim is None else self.aim.is_met(self.spread.median)


@dataclass(frozen=True, slots=True)
class Part:
    """One table. The key is its name in the JSON."""

    key: str
    title: str
    figures: Sequence[Figure]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """That of each pair, since what slows the machine for a while slows both."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


class FreshIndices:
    """Indices that were never asked for before, from a given one downwards, so that no cache knows them."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def take(self, near: int, count: int = 1) -> int:
        """The highest of `count` unused indices at or below `near`."""
        n = self._next.get(near, near)
        self._next[near] = n - count
        return n
