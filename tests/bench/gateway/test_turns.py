from collections.abc import Sequence

from bench.figures import Figure, Load, Turn
from bench.gateway.turns import BARE, CYCLE, MODEL, OURS, gateway_parts

RATES = {OURS: 50, BARE: 100, CYCLE: 40, MODEL: 10}


def test_every_number_of_connections_is_a_part_with_every_contender() -> None:
    parts = list(gateway_parts({16: _turns(), 256: _turns()}, []))

    assert [part.key for part in parts] == ["gateway-16", "gateway-256"]
    names = [figure.name for figure in parts[0].figures]
    for contender in RATES:
        for figure in ("requests/s", "p50 ms", "p99 ms"):
            assert f"{figure}, {contender}" in names
        assert f"CPU us/request, {contender}: process of {contender}" in names


def test_at_64_connections_the_ratios_have_their_aims() -> None:
    [part] = gateway_parts({64: _turns()}, [])
    judged = {figure.name: (figure.spread.median, figure.meets_aim) for figure in part.figures if figure.aim}

    assert judged == {
        f"ratio of rates, {OURS} / {BARE}": (0.5, True),
        f"ratio of rates, {CYCLE} / {BARE}": (0.4, False),
        f"ratio of rates, {OURS} / {MODEL}": (5, True),
        f"ratio of p99, {OURS} / {BARE}": (1, True),
    }


def test_one_connection_is_compared_with_a_round_trip() -> None:
    [part] = gateway_parts({1: _turns(p50_ms=0.3)}, [_load(p50_ms=0.5), _load(p50_ms=0.25)])

    assert _figure(part.figures, f"ratio of p50, {OURS} / one grpc.aio round trip").samples == [0.6, 1.2]


def test_256_connections_are_compared_with_64() -> None:
    _, part = gateway_parts({64: _turns(p99_ms=2), 256: _turns(p99_ms=9)}, [])

    figure = _figure(part.figures, "ratio of p99, ours to that at 64 connections")
    assert (figure.samples, figure.meets_aim) == ([4.5, 4.5], False)


def _turns(*, p50_ms: float = 1, p99_ms: float = 3) -> dict[str, list[Turn]]:
    return {name: [Turn(_load(rate, p50_ms, p99_ms), {f"process of {name}": 7.0})] * 2 for name, rate in RATES.items()}


def _load(rate: float = 1, p50_ms: float = 1, p99_ms: float = 3) -> Load:
    return Load(requests_per_second=rate, p50_ms=p50_ms, p99_ms=p99_ms)


def _figure(figures: Sequence[Figure], name: str) -> Figure:
    return next(figure for figure in figures if figure.name == name)
