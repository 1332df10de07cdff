"""What is told of the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stats_service.measures import Measures, NumberMeasures


@dataclass(frozen=True, slots=True)
class Totals:
    """All numbers together. `numbers` have a row of their own; `folded` is the one row of those that lost theirs.

    `operations` has how many of each, by the number of stats.Operation.
    """

    all: Measures
    numbers: int
    folded: Measures
    operations: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Page:
    """Some numbers in the order asked for, with the totals of the same moment. `more` says that others follow."""

    totals: Totals
    numbers: Sequence[NumberMeasures]
    more: bool
