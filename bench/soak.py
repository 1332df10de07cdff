"""Memory of the three services while they answer without a pause."""

import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import aims
from bench.checks import check_account, check_bodies, open_client
from bench.figures import Figure, Part, slope
from bench.gateway.load_client import Contender, LoadClient
from bench.gateway.measurement import EACH_INDEX
from bench.gateway.turns import CYCLE
from bench.gateway.whole import MEGABYTE, memory_figures
from bench.plan import Plan
from bench.resources import pss_bytes
from bench.system import new_system
from deploy.local.processes import System

CONNECTIONS = 64
SAMPLES = 60
#: About how long one run of the load client takes.
LOAD_SECONDS = 10.0
#: The beginning is not flat: caches fill, and memory is taken that is kept.
SETTLING_SHARE = 0.2
#: By moment, in minutes, the PSS of each program.
Samples = Sequence[tuple[float, Mapping[str, int]]]


def measure_soak(plan: Plan) -> Iterator[Part]:
    seconds = plan.minutes * 60
    with new_system() as system, open_client() as http, tempfile.TemporaryDirectory() as folder:
        load_client = LoadClient(seconds=min(LOAD_SECONDS, seconds / 3), folder=Path(folder))
        contender = Contender(name=CYCLE, port=system.gateway.port, indices=EACH_INDEX, processes=system.services)
        checked = check_bodies(http, system.url)
        rates = []
        with _sampling(system, every_seconds=seconds / SAMPLES) as samples:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                rates.append(load_client.measure(contender, CONNECTIONS).load.requests_per_second)
        expected = checked + load_client.asked[CYCLE] + check_bodies(http, system.url)
        check_account(http, system.url, expected)
    yield Part(
        "soak",
        f"Memory over {plan.minutes:g} minutes of GET /fib, n from 0 to 92, connections: {CONNECTIONS}",
        [
            *memory_figures([sizes for _, sizes in samples]),
            *growth_figures(samples),
            Figure("requests/s", rates),
            Figure("requests that were sent and are counted", [expected.total()]),
        ],
    )


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


@contextmanager
def _sampling(system: System, *, every_seconds: float) -> Iterator[list[tuple[float, Mapping[str, int]]]]:
    """While it is entered, a thread adds to the list that it gives."""
    samples: list[tuple[float, Mapping[str, int]]] = []
    ended = threading.Event()
    started = time.monotonic()

    def sample() -> None:
        while not ended.wait(every_seconds):
            samples.append(((time.monotonic() - started) / 60, pss_bytes(system.services)))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
