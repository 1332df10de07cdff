"""Memory of the three services while they answer without a pause."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.answers import EACH_INDEX
from bench.checks import check_account, check_bodies, open_client
from bench.figures import Figure, Part
from bench.load_client import Contender, LoadClient
from bench.memory import Samples, growth_figures, memory_figures
from bench.plan import Plan
from bench.resources import pss_bytes
from bench.system import new_system
from deploy.local.processes import System

CONNECTIONS = 64
SAMPLES = 60
#: About how long one run of the load client takes.
LOAD_SECONDS = 10.0
OURS = "ours"


def measure_soak(plan: Plan) -> Iterator[Part]:
    seconds = plan.minutes * 60
    with new_system() as system, open_client() as http, tempfile.TemporaryDirectory() as folder:
        load_client = LoadClient(seconds=min(LOAD_SECONDS, seconds / 3), folder=Path(folder))
        contender = Contender(name=OURS, port=system.gateway.port, indices=EACH_INDEX, processes=system.services)
        checked = check_bodies(http, system.url)
        rates = []
        with _sampling(system, every_seconds=seconds / SAMPLES) as samples:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                rates.append(load_client.measure(contender, CONNECTIONS).load.requests_per_second)
        expected = checked + load_client.asked[OURS] + check_bodies(http, system.url)
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


@contextmanager
def _sampling(system: System, *, every_seconds: float) -> Iterator[Samples]:
    """While it is entered, a thread adds to the list that it gives."""
    samples: Samples = []
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
