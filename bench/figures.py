"""The figures of the benchmarks: named samples, what they aim at, and what is made of them. Pure."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several figures, and how far they lie apart."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Self:
        return cls(statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a median should lie. Missing it is told and fails nothing."""

    bound: float
    at_least: bool = False

    def is_met(self, median: float) -> bool:
        return median >= self.bound if self.at_least else median <= self.bound

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.bound:,g}"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of a load client, in which every response was right."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float

    def requests_within(self, seconds: float, *, least: int) -> int:
        """How many requests such a load would take about that long for."""
        return max(least, round(self.requests_per_second * seconds))


@dataclass(frozen=True, slots=True)
class Turn:
    """One load of one of those that are compared, and what each program took of a processor for one of its requests."""

    load: Load
    cpu_us: Mapping[str, float]


def percentile(figures: Sequence[float], share: float) -> float:
    """The least of the figures that at least this share of them do not exceed (the nearest rank)."""
    ranked = sorted(figures)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """That of each pair, since what slows the machine for a while slows both."""
    return [our / their for our, their in zip(ours, theirs, strict=True)]


def slope(places: Sequence[float], figures: Sequence[float]) -> float:
    """By how much the figures rise from one place to the next, by least squares."""
    return statistics.linear_regression(places, figures).slope
