"""What /fib/describe predicts, beside what it takes."""

import json

from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part
from bench.sizes.client import Client, check_digits
from bench.sizes.library import Library
from bench.system import new_system

#: Each index is computed so often in a repetition, and the quickest counts, as it does for the prediction.
TRIES = 3
#: A try repeats a small computation until it has done about as much as one of this index: a clock costs 1 us itself.
TRY_INDEX = 300_000


def measure_predictions(library: Library, *, indices: tuple[int, ...], repetitions: int) -> Part:
    """Each repetition has new processes, because a service measures its machine once."""
    computing: dict[int, list[float]] = {n: [] for n in indices}
    answering: dict[int, list[float]] = {n: [] for n in indices}
    for _ in range(repetitions):
        with new_system() as system, Client(system.gateway.port) as client:
            for n in indices:
                predicted = _predicted_seconds(client, n)
                repeats = max(1, TRY_INDEX // n)
                tries = [library.measure("value", n, repeats) for _ in range(TRIES)]
                quickest = min(measured.cpu_seconds for measured in tries) / repeats
                computing[n].append(_error(predicted, quickest))
                answer = client.get_digits(n)
                check_digits(n, answer.body, tries[0])
                answering[n].append(_error(predicted, answer.seconds))
    errors = [abs(error) for samples in computing.values() for error in samples]
    figures = [
        *(Figure(f"n = {n:,}: error of the prediction, %", samples) for n, samples in computing.items()),
        Figure("all of them without their sign, %", errors),
        *(Figure(f"n = {n:,}: against the answer over HTTP, %", samples) for n, samples in answering.items()),
    ]
    return Part("predictions", "The seconds that /fib/describe predicts, against the library's processor time", figures)


def _predicted_seconds(client: Client, n: int) -> float:
    seconds = json.loads(client.get(f"/fib/describe?n={n}").body)["predicted"]["seconds"]
    if not (isinstance(seconds, float) and seconds > 0):
        raise BenchmarkFailed(f"GET /fib/describe?n={n} predicts {seconds!r} seconds")
    return seconds


def _error(predicted: float, measured: float) -> float:
    """In percent of what was measured; above 0 it was predicted to take longer."""
    return (predicted / measured - 1) * 100
