"""Figures of the memory that the services take. Pure."""

from collections.abc import Mapping, Sequence

from bench import aims
from bench.figures import Figure, slope

MEGABYTE = 1_000_000
#: The beginning is not flat: caches fill, and memory is taken that is kept.
SETTLING_SHARE = 0.2
#: By moment, in minutes, the PSS of each program in bytes.
Samples = list[tuple[float, Mapping[str, int]]]


def memory_figures(pss_bytes: Sequence[Mapping[str, int]]) -> list[Figure]:
    each = {program: [sizes[program] / MEGABYTE for sizes in pss_bytes] for program in pss_bytes[0]}
    together = [sum(sizes.values()) / MEGABYTE for sizes in pss_bytes]
    return [
        *(Figure(f"PSS MB, {program}", samples) for program, samples in each.items()),
        Figure("PSS MB, together", together),
        Figure("PSS MB, together at the most", [max(together)], aims.SERVICES_MB),
    ]


def growth_figures(samples: Samples) -> list[Figure]:
    """By how much memory grows after the first fifth of the samples."""
    settled = samples[int(len(samples) * SETTLING_SHARE) :]
    minutes = [minute for minute, _ in settled]
    programs = list(settled[0][1])
    each = {program: [sizes[program] / MEGABYTE for _, sizes in settled] for program in programs}
    together = [sum(sizes.values()) / MEGABYTE for _, sizes in settled]
    return [
        *(Figure(f"growth, MB a minute, {program}", [slope(minutes, sizes)]) for program, sizes in each.items()),
        Figure("growth, MB a minute, together", [slope(minutes, together)], aims.GROWTH_MB_PER_MINUTE),
    ]
