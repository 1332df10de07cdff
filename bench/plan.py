"""How much is measured."""

from dataclasses import dataclass, field, replace
from typing import Self

from bench.sizes.plan import SHORT as SHORT_SIZES
from bench.sizes.plan import Plan as SizesPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A round measures everything that is compared once; `seconds` is about how long each of its loads takes."""

    rounds: int = 5
    seconds: float = 1
    connections: tuple[int, ...] = (1, 16, 64, 256)
    #: How many different numbers the large account holds.
    numbers: int = 1_000_000
    minutes: float = 5
    sizes: SizesPlan = field(default_factory=SizesPlan)

    def with_rounds(self, rounds: int) -> Self:
        return replace(self, rounds=rounds, sizes=replace(self.sizes, repetitions=rounds))


#: Each once and little of it: does it work at all?
SHORT = Plan(rounds=1, seconds=0.05, connections=(1, 8), numbers=3_000, minutes=0.03, sizes=SHORT_SIZES)
