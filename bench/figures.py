"""The figures of a benchmark and what is made of them. Pure."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One run of the load client, in which every response was right."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Ours, then the ceiling, at once after each other. `cpu_us` is what each process took for one request."""

    ours: Load
    ceiling: Load
    cpu_us: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """Ours to the ceiling, in requests a second."""
        return self.ours.requests_per_second / self.ceiling.requests_per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Everything measured at one number of connections. The mappings have a program as key."""

    connections: int
    pairs: Sequence[Pair]
    counted: int
    start_seconds: Mapping[str, float]
    pss_at_rest_bytes: Mapping[str, int]
    pss_after_load_bytes: Mapping[str, int]


def percentile(figures: Sequence[float], share: float) -> float:
    """The least of the figures that at least this share of them do not exceed (the nearest rank)."""
    ranked = sorted(figures)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]
