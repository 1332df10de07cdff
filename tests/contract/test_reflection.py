"""Every method of both services, called with nothing in hand but an address."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

import fibonacci_service.app
import fibonacci_service.settings
import stats_service.app
import stats_service.settings
from service_kit.grpc_channel import open_channel
from tests.contract.reflecting import ReflectingClient

OURS: Any = {"listen_port": 0, "drain_delay_seconds": 0, "reflection": True}
FRAMEWORK = {"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
#: By method a request, and what its first answer holds.
Calls = Mapping[str, tuple[dict[str, Any], dict[str, Any]]]

FIBONACCI: Calls = {
    "GetFib": ({"n": 10}, {"x": "55"}),
    "BatchGetFib": ({"items": [{"request": {"n": 10}}]}, {"results": [{"response": {"x": "55"}}]}),
    "ExchangeFib": ({"n": [10], "encodings": ["DECIMAL"]}, {"values": ["NTU="]}),
    "StreamFib": ({"n": 10, "encoding": "DECIMAL"}, {"data": "NTU=", "totalBytes": "2"}),
    "StreamRange": ({"start": 10, "count": 2}, {"first": 10, "lines": "NTUKODkK"}),
    "GetResidue": ({"n": "10", "modulus": "7"}, {"residue": "6"}),
    "DescribeFib": ({"n": "10"}, {"digitCount": "2", "leadingDigits": "55"}),
    "GetRecorder": ({}, {"served": "4"}),
}
STATS: Calls = {
    "RecordNo": ({"n": 10, "duration": "1000000"}, {"success": True}),
    "GetStats": ({}, {"totalRequests": "1"}),
    "ListStats": ({}, {"totalRequests": "1"}),
    "GetNumberStats": ({"n": 10}, {}),
    "WatchStats": ({}, {"totalRequests": "1"}),
    "ListMinutes": ({}, {}),
}


@asynccontextmanager
async def fibonacci() -> AsyncIterator[ReflectingClient]:
    settings = fibonacci_service.settings.Settings(stats_target="127.0.0.1:1", stats_flush_seconds=0, **OURS)
    async with fibonacci_service.app.running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield await ReflectingClient.of(channel)


@asynccontextmanager
async def stats() -> AsyncIterator[ReflectingClient]:
    settings = stats_service.settings.Settings(database_url="memory:", **OURS)
    async with stats_service.app.running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        yield await ReflectingClient.of(channel)


@pytest.mark.parametrize(
    ("service", "calls", "connected"),
    [("fibonacci.Fibonacci", FIBONACCI, fibonacci), ("stats.Stats", STATS, stats)],
)
async def test_every_method_can_be_found_and_called_through_reflection(
    service: str, calls: Calls, connected: Any
) -> None:
    async with connected() as client:
        methods = {method.name: method for method in client.methods(service)}
        answers = {name: await client.call(methods[name], request) for name, (request, _) in calls.items()}
        health = await client.call(client.methods("grpc.health.v1.Health")[0], {"service": service})

    assert set(client.services) == {service, *FRAMEWORK}
    assert methods.keys() == calls.keys()
    for name, (_, expected) in calls.items():
        assert expected.items() <= answers[name].items(), (name, answers[name])
    assert health == {"status": "SERVING"}
