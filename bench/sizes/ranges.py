"""Range streams: the first byte, and terms a second beside converting each term."""

import json
from collections.abc import Iterator

from bench import aims
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part, ratios
from bench.sizes.client import Answer, Client
from bench.sizes.library import Library, Measured, lines_sha256
from bench.sizes.workers import end_workers
from deploy.local.processes import System

#: So many terms hold more than the first slice, so that a worker is needed too.
FIRST_BYTE_COUNT = 100


def measure_ranges(
    system: System, client: Client, library: Library, *, start: int, count: int, repetitions: int
) -> Part:
    expected = library.measure("generator", start, FIRST_BYTE_COUNT)
    _range(client, start, FIRST_BYTE_COUNT, expected)
    warm, cold = [], []
    for _ in range(repetitions):
        warm.append(_range(client, start, FIRST_BYTE_COUNT, expected).first_byte_seconds * 1000)
        end_workers(system.fibonacci.pid)
        cold.append(_range(client, start, FIRST_BYTE_COUNT, expected).first_byte_seconds * 1000)
    return Part(
        "ranges",
        f"GET /fib/range from {start:,} on",
        [
            Figure("first byte, warm worker, ms", warm, aims.FIRST_BYTE_MS),
            Figure("first byte, no worker yet, ms", cold, aims.FIRST_BYTE_MS),
            *_rates(client, library, start, count, repetitions),
        ],
    )


def _rates(client: Client, library: Library, start: int, count: int, repetitions: int) -> list[Figure]:
    """Terms a second of the generator, of conversions and of the whole system, in turns."""
    generator, conversions, streamed = [], [], []
    for _ in range(repetitions):
        generated = library.measure("generator", start, count)
        converted = library.measure("conversions", start, count)
        if generated.sha256 != converted.sha256:
            raise BenchmarkFailed(f"the generator's {count} terms from {start} on are not those of gmpy2")
        generator.append(count / generated.seconds)
        conversions.append(count / converted.seconds)
        streamed.append(count / _range(client, start, count, converted).seconds)
    return [
        Figure("terms/s, generator", generator),
        Figure("terms/s, each converted by gmpy2", conversions),
        Figure("terms/s, over HTTP", streamed),
        Figure("ratio generator/conversions", ratios(generator, conversions), aims.GENERATOR_TO_CONVERSIONS),
        Figure("ratio over HTTP/conversions", ratios(streamed, conversions), aims.RANGE_TO_CONVERSIONS),
    ]


def _range(client: Client, start: int, count: int, expected: Measured) -> Answer:
    answer = client.get(f"/fib/range?start={start}&count={count}")
    if lines_sha256(_terms(answer.body, start)) != expected.sha256:
        raise BenchmarkFailed(f"GET /fib/range?start={start}&count={count} answered with other numbers")
    return answer


def _terms(body: bytes, start: int) -> Iterator[bytes]:
    for n, line in enumerate(body.splitlines(), start):
        item = json.loads(line)
        if item["n"] != n:
            raise BenchmarkFailed(f"the range has n = {item['n']} in the place of {n}")
        yield item["value"].encode()
