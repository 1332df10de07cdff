"""Five times as many long computations as the workers can do, by clients that wait for nobody."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from bench import aims
from bench.answers import digit_count, fibonacci_modulo
from bench.connections import Connections
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part, percentile, ratios
from bench.plan import Plan
from bench.sizes.fresh_indices import FreshIndices
from bench.sizes.workers import pool_size
from bench.steady import TIMEOUT_SECONDS, due_times
from bench.system import new_system

TIMES = 5
#: One computation may wait. By default it is two seconds of them, which a burst needs and no p99 forgives.
SETTINGS = {"FIBONACCI_WORKERS_MAX_QUEUED_SECONDS": 0.01}
#: The largest that one worker does alone, so that a client that asks alone has no more of them than one among many.
HIGHEST_N = 1_999_999
#: Of `Plan.seconds`: a p99 wants more answers than a second has.
PHASE_SECONDS = 6.0
CHECKED = 5
#: Of each number that is checked, beside how many it has.
_TRAILING_DIGITS = 12
_REFUSED = HTTPStatus.TOO_MANY_REQUESTS


@dataclass(frozen=True, slots=True)
class _Answer:
    n: int
    status: int
    ms: float
    body: bytes


class _Asking:
    """Asks for one number after the other that nobody asked for before."""

    def __init__(self, connections: Connections, fresh: FreshIndices) -> None:
        self._connections = connections
        self._fresh = fresh

    async def alone(self, seconds: float) -> list[_Answer]:
        """One after the other."""
        ends, answers = time.perf_counter() + seconds, [await self._ask(time.perf_counter())]
        while time.perf_counter() < ends:
            answers.append(await self._ask(time.perf_counter()))
        return answers

    async def together(self, clients: int, seconds: float) -> list[_Answer]:
        """So many clients that each ask one after the other."""
        answers = await asyncio.gather(*(self.alone(seconds) for _ in range(clients)))
        return [answer for of_client in answers for answer in of_client]

    async def at_a_rate(self, per_second: float, seconds: float) -> list[_Answer]:
        async with asyncio.timeout(seconds + TIMEOUT_SECONDS), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._ask(due)) async for due in due_times(per_second=per_second, seconds=seconds)
            ]
        return [task.result() for task in tasks]

    async def _ask(self, due: float) -> _Answer:
        n = self._fresh.take(HIGHEST_N)
        response = await self._connections.get(f"/fib?n={n}")
        ms = (time.perf_counter() - due) * 1000
        if response.status == _REFUSED and b"\r\nretry-after: " not in response.head.lower():
            raise BenchmarkFailed("a refusal does not say when to come again")
        if response.status not in (HTTPStatus.OK, _REFUSED):
            raise BenchmarkFailed(f"answered {response.status} {response.body[:200]!r}")
        return _Answer(n, response.status, ms, response.body)


def measure_overload(plan: Plan) -> Iterator[Part]:
    with new_system(SETTINGS) as system:
        fresh = FreshIndices()
        seconds = PHASE_SECONDS * plan.seconds
        rounds = [asyncio.run(_round(system.gateway.port, fresh, seconds)) for _ in range(plan.rounds)]
    yield Part(
        "overload",
        f"GET /fib, fresh n near {HIGHEST_N:,}, at {TIMES} times what the workers can do",
        list(_figures(rounds)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """The latencies of what was answered, and rates a second."""

    idle_ms: Sequence[float]
    overloaded_ms: Sequence[float]
    refused_ms: Sequence[float]
    peak: float
    offered: float
    goodput: float


async def _round(port: int, fresh: FreshIndices, seconds: float) -> _Round:
    await _measured(port, fresh, lambda asking: asking.together(pool_size(), seconds / 10))  # starts every worker
    idle, _ = await _measured(port, fresh, lambda asking: asking.alone(seconds))
    _, peak = await _measured(port, fresh, lambda asking: asking.together(pool_size(), seconds))
    asked, goodput = await _measured(port, fresh, lambda asking: asking.at_a_rate(TIMES * peak, seconds))
    return _Round(
        idle_ms=[answer.ms for answer in idle if answer.status == HTTPStatus.OK],
        overloaded_ms=[answer.ms for answer in asked if answer.status == HTTPStatus.OK],
        refused_ms=[answer.ms for answer in asked if answer.status == _REFUSED],
        peak=peak,
        offered=len(asked) / seconds,
        goodput=goodput,
    )


async def _measured(
    port: int, fresh: FreshIndices, ask: Callable[[_Asking], Awaitable[list[_Answer]]]
) -> tuple[list[_Answer], float]:
    """What came, and how many numbers a second of it; the first ones are computed again."""
    connections = Connections(port)  # for each load, since the gateway closes those that are idle for long
    asking = _Asking(connections, fresh)
    started = time.perf_counter()
    try:
        answers = await ask(asking)
    finally:
        connections.close()
    seconds = time.perf_counter() - started
    answered = [answer for answer in answers if answer.status == HTTPStatus.OK]
    for answer in answered[:CHECKED]:
        _check(answer)
    return answers, len(answered) / seconds


def _check(answer: _Answer) -> None:
    digits = json.loads(answer.body)["value"]
    trailing = fibonacci_modulo(answer.n, 10**_TRAILING_DIGITS)
    if len(digits) != digit_count(answer.n) or int(digits[-_TRAILING_DIGITS:]) != trailing:
        raise BenchmarkFailed(f"F({answer.n}) was answered wrongly")


def _figures(rounds: Sequence[_Round]) -> Iterator[Figure]:
    peaks, goodputs = [each.peak for each in rounds], [each.goodput for each in rounds]
    idle = [percentile(each.idle_ms, 0.99) for each in rounds]
    overloaded = [percentile(each.overloaded_ms, 0.99) for each in rounds]
    yield Figure("peak: answers/s with a client for each worker", peaks)
    yield Figure("requests/s in the overload", [each.offered for each in rounds])
    yield Figure("answers/s in the overload", goodputs)
    yield Figure("ratio of answers/s, overload/peak", ratios(goodputs, peaks), aims.GOODPUT_TO_PEAK)
    yield Figure("p99 ms, one client", idle)
    yield Figure("p99 ms, of what is answered in the overload", overloaded)
    yield Figure("ratio of p99, overload/one client", ratios(overloaded, idle), aims.P99_OVERLOADED_TO_IDLE)
    yield Figure("p99 ms, of refusals", [percentile(each.refused_ms or [0], 0.99) for each in rounds])
