"""The loads of all rounds and the figures that are made of them. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from bench import aims
from bench.figures import Aim, Figure, Load, Part, Turn, ratios

OURS = "ours, n = 10"
CYCLE = "ours, n from 0 to 92"
BARE = "bare ASGI"
MODEL = "FastAPI with a model"
ONE, MANY = 1, 256


#: By contender, its turn of each round.
Turns = Mapping[str, Sequence[Turn]]


def gateway_parts(measured: Mapping[int, Turns], round_trips: Sequence[Load]) -> Iterator[Part]:
    """A table for each number of connections; the round trips are compared with the answers to one connection."""
    for connections, turns in measured.items():
        figures = [*_rates(turns, connections), *_latencies(turns, connections)]
        if connections == ONE and round_trips:
            figures += _beside_round_trips(turns, round_trips)
        if connections == MANY and aims.AIMED_CONNECTIONS in measured:
            few = _each(measured[aims.AIMED_CONNECTIONS], OURS, _p99_ms)
            name = f"ratio of p99, ours to that at {aims.AIMED_CONNECTIONS} connections"
            figures.append(Figure(name, ratios(_each(turns, OURS, _p99_ms), few), aims.P99_OF_MANY))
        yield Part(f"gateway-{connections}", f"GET /fib, connections: {connections}", [*figures, *_cpu(turns)])


def _rates(turns: Turns, connections: int) -> list[Figure]:
    rates = {name: _each(turns, name, _rate) for name in turns}
    return [
        *(Figure(f"requests/s, {name}", samples) for name, samples in rates.items()),
        *(
            Figure(f"ratio of rates, {name} / {BARE}", ratios(rates[name], rates[BARE]), _at(connections, aim))
            for name, aim in ((OURS, aims.TO_BARE_ASGI), (CYCLE, aims.TO_BARE_ASGI), (MODEL, None))
        ),
        Figure(
            f"ratio of rates, {OURS} / {MODEL}",
            ratios(rates[OURS], rates[MODEL]),
            _at(connections, aims.TO_MODEL_ROUTE),
        ),
    ]


def _latencies(turns: Turns, connections: int) -> list[Figure]:
    to_bare = ratios(_each(turns, OURS, _p99_ms), _each(turns, BARE, _p99_ms))
    return [
        *(Figure(f"p50 ms, {name}", _each(turns, name, _p50_ms)) for name in turns),
        *(Figure(f"p99 ms, {name}", _each(turns, name, _p99_ms)) for name in turns),
        Figure(f"ratio of p99, {OURS} / {BARE}", to_bare, _at(connections, aims.P99_TO_BARE_ASGI)),
    ]


def _beside_round_trips(turns: Turns, round_trips: Sequence[Load]) -> list[Figure]:
    bare = [load.p50_ms for load in round_trips]
    return [
        Figure("p50 ms, one grpc.aio round trip", bare),
        Figure(
            f"ratio of p50, {OURS} / one grpc.aio round trip",
            ratios(_each(turns, OURS, _p50_ms), bare),
            aims.P50_TO_ROUND_TRIP,
        ),
    ]


def _cpu(turns: Turns) -> list[Figure]:
    return [
        Figure(f"CPU us/request, {name}: {program}", [turn.cpu_us[program] for turn in of_rounds])
        for name, of_rounds in turns.items()
        for program in of_rounds[0].cpu_us
    ]


def _each(turns: Turns, name: str, figure: Callable[[Load], float]) -> list[float]:
    return [figure(turn.load) for turn in turns[name]]


def _at(connections: int, aim: Aim | None) -> Aim | None:
    return aim if connections == aims.AIMED_CONNECTIONS else None


def _rate(load: Load) -> float:
    return load.requests_per_second


def _p50_ms(load: Load) -> float:
    return load.p50_ms


def _p99_ms(load: Load) -> float:
    return load.p99_ms
