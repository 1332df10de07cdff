"""What the three services take together: memory under load, and the time until they serve."""

from collections.abc import Mapping, Sequence

from bench import aims
from bench.figures import Figure, Part
from bench.resources import start_seconds
from deploy.local.processes import System

MEGABYTE = 1_000_000


def whole_part(system: System, *, pss_bytes: Sequence[Mapping[str, int]], counted: int) -> Part:
    """`pss_bytes` are of the moments after each number of connections, in every round."""
    starts = {service.program: start_seconds(service) for service in system.services}
    return Part(
        "gateway-whole",
        "The three services during these loads",
        [
            *memory_figures(pss_bytes),
            *(Figure(f"from start to ready, s, {program}", [seconds]) for program, seconds in starts.items()),
            Figure("from start to ready, s, one after the other", [sum(starts.values())], aims.START_SECONDS),
            Figure("requests that were sent and are counted", [counted]),
        ],
    )


def memory_figures(pss_bytes: Sequence[Mapping[str, int]]) -> list[Figure]:
    each = {program: [sizes[program] / MEGABYTE for sizes in pss_bytes] for program in pss_bytes[0]}
    together = [sum(sizes.values()) / MEGABYTE for sizes in pss_bytes]
    return [
        *(Figure(f"PSS MB, {program}", samples) for program, samples in each.items()),
        Figure("PSS MB, together", together, aims.SERVICES_MB),
    ]
