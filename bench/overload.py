"""Five times as many long computations as the workers can do, by clients that wait for nobody."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from bench import aims
from bench.answers import fibonacci_modulo
from bench.connections import Connections
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part, percentile, ratios
from bench.plan import Plan
from bench.sizes.workers import pool_size
from bench.steady import TIMEOUT_SECONDS, due_times
from bench.system import new_system

TIMES = 5
#: A computation may wait about as long as it takes. By default it is seconds, which a burst needs and no p99 forgives.
SETTINGS = {"FIBONACCI_WORKERS_MAX_QUEUED_SECONDS": 0.05}
#: Such a residue takes a worker some 40 ms, and its way hardly anything: neither question nor answer is long.
OPERAND_DIGITS = 1_000
#: Of `Plan.seconds`: a p99 wants more answers than a second has.
PHASE_SECONDS = 6.0
CHECKED = 5
_SEED = 20261125
_REFUSED = HTTPStatus.TOO_MANY_REQUESTS


@dataclass(frozen=True, slots=True)
class _Answer:
    n: int
    status: int
    ms: float
    residue: str


class _Asking:
    """Asks for F(n) modulo one number, each time for another n."""

    def __init__(self, connections: Connections, random_: random.Random) -> None:
        self._connections = connections
        self._random = random_
        self._least = 10 ** (OPERAND_DIGITS - 1)
        self.modulus = self._operand()

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
        n = self._operand()
        response = await self._connections.get(f"/fib/residue?n={n}&modulus={self.modulus}")
        ms = (time.perf_counter() - due) * 1000
        if response.status == _REFUSED and b"\r\nretry-after: " not in response.head.lower():
            raise BenchmarkFailed("a refusal does not say when to come again")
        if response.status not in (HTTPStatus.OK, _REFUSED):
            raise BenchmarkFailed(f"answered {response.status} {response.body[:200]!r}")
        residue = json.loads(response.body)["residue"] if response.status == HTTPStatus.OK else ""
        return _Answer(n, response.status, ms, residue)

    def _operand(self) -> int:
        return self._random.randrange(self._least, 10 * self._least)


def measure_overload(plan: Plan) -> Iterator[Part]:
    phases = []
    with new_system(SETTINGS) as system:
        for round_ in range(plan.rounds):
            random_ = random.Random(_SEED + round_)  # noqa: S311 - operands that can be had again
            phases.append(asyncio.run(_round(system.gateway.port, random_, PHASE_SECONDS * plan.seconds)))
    yield Part(
        "overload",
        f"GET /fib/residue with operands of {OPERAND_DIGITS:,} digits, at {TIMES} times what the workers can do",
        list(_figures(phases)),
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


async def _round(port: int, random_: random.Random, seconds: float) -> _Round:
    await _measured(port, random_, lambda asking: asking.together(pool_size(), seconds / 10))  # starts every worker
    idle, _ = await _measured(port, random_, lambda asking: asking.alone(seconds))
    _, peak = await _measured(port, random_, lambda asking: asking.together(pool_size(), seconds))
    asked, goodput = await _measured(port, random_, lambda asking: asking.at_a_rate(TIMES * peak, seconds))
    return _Round(
        idle_ms=[answer.ms for answer in idle if answer.status == HTTPStatus.OK],
        overloaded_ms=[answer.ms for answer in asked if answer.status == HTTPStatus.OK],
        refused_ms=[answer.ms for answer in asked if answer.status == _REFUSED],
        peak=peak,
        offered=len(asked) / seconds,
        goodput=goodput,
    )


async def _measured(
    port: int, random_: random.Random, ask: Callable[[_Asking], Awaitable[list[_Answer]]]
) -> tuple[list[_Answer], float]:
    """What came, and how many numbers a second of it; the first ones are computed again."""
    connections = Connections(port)  # for each load, since the gateway closes those that are idle for long
    asking = _Asking(connections, random_)
    started = time.perf_counter()
    try:
        answers = await ask(asking)
    finally:
        connections.close()
    seconds = time.perf_counter() - started
    answered = [answer for answer in answers if answer.status == HTTPStatus.OK]
    for answer in answered[:CHECKED]:
        if answer.residue != str(fibonacci_modulo(answer.n, asking.modulus)):
            raise BenchmarkFailed(f"F(n) modulo m was answered wrongly for n={answer.n}, m={asking.modulus}")
    return answers, len(answered) / seconds


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
