"""What the three services take together: memory under load, and the time until they serve."""

from collections.abc import Mapping, Sequence

from bench import aims
from bench.figures import Figure, Part
from bench.memory import memory_figures
from bench.resources import start_seconds
from deploy.local.processes import System


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
