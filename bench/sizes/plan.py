"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`repetitions` is for each figure but those of the steady rate, which has pairs of halves of `steady_seconds`."""

    repetitions: int = 7
    indices: tuple[int, ...] = (100_000, 1_000_000, 10_000_000)
    range_start: int = 100_000
    range_count: int = 2_000
    steady_seconds: float = 5
    steady_pairs: int = 5
    predicted_indices: tuple[int, ...] = (2_000, 30_000, 300_000, 3_000_000, 10_000_000)

    @property
    def largest(self) -> int:
        return max(self.indices)


#: Every part once, with numbers that are as large as the ways through the system need.
SHORT = Plan(
    repetitions=1,
    indices=(100_000, 6_000_000),
    range_count=200,
    steady_seconds=0.5,
    steady_pairs=1,
    predicted_indices=(2_000, 300_000),
)
