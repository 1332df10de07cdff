"""F(n) in decimal through the whole system beside the bare library call."""

from bench import aims
from bench.figures import Figure, Part, ratios
from bench.sizes.client import Client, check_digits
from bench.sizes.fresh_indices import FreshIndices
from bench.sizes.library import Library


def measure_values(
    client: Client, library: Library, fresh: FreshIndices, *, indices: tuple[int, ...], repetitions: int
) -> Part:
    for near in indices:  # the workers start, and memory is taken
        _pair(client, library, fresh.take(near), ours_first=True)
    pairs: dict[int, list[tuple[float, float]]] = {near: [] for near in indices}
    for repetition in range(repetitions):
        for near in indices:
            pairs[near].append(_pair(client, library, fresh.take(near), ours_first=repetition % 2 == 0))
    figures = [figure for near in indices for figure in _figures(near, pairs[near])]
    return Part("values", "F(n) as text/plain over HTTP, and gmpy2's fib and digits in one process", figures)


def _pair(client: Client, library: Library, n: int, *, ours_first: bool) -> tuple[float, float]:
    if ours_first:
        answer, bare = client.get_digits(n), library.measure("value", n)
    else:
        bare, answer = library.measure("value", n), client.get_digits(n)
    check_digits(n, answer.body, bare)
    return answer.seconds, bare.seconds


def _figures(near: int, pairs: list[tuple[float, float]]) -> list[Figure]:
    ours, bare = zip(*pairs, strict=True)
    return [
        Figure(f"n = {near:,}: ours, ms", [seconds * 1000 for seconds in ours]),
        Figure(f"n = {near:,}: bare library, ms", [seconds * 1000 for seconds in bare]),
        Figure(f"n = {near:,}: ratio", ratios(ours, bare), aims.VALUE_TO_LIBRARY.get(near)),
    ]
