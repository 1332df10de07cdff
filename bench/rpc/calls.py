"""The client of fibonacci_service: one process, one channel with default settings, a fixed number of calls in flight.

Runs as a process: `python -m bench.rpc.calls`. Messages are bytes there, so that the client costs little: the first
response is parsed and compared with what it must be, and every other one with the first.
"""

import asyncio
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

import grpc

from bench.child import Child, serve_tasks
from bench.figures import Load, Turn, percentile
from bench.resources import measured_turn
from bench.rpc.exchanges import EXCHANGES
from deploy.local.processes import ServiceProcess

WARM_UP_CALLS = 100


class RpcClient(Child):
    """The process, seen from the benchmark's. `asked` has the numbers that were asked for, by the server's program."""

    def __init__(self) -> None:
        super().__init__("bench.rpc.calls")
        self._calls: dict[tuple[str, str, int], int] = {}
        self.asked: dict[str, Counter[int]] = {}

    def measure(self, server: ServiceProcess, exchange: str, *, in_flight: int, seconds: float) -> Turn:
        """Makes calls for about that long; before the first time some more, which tell how many that takes."""
        key = (server.program, exchange, in_flight)
        if key not in self._calls:
            warm_up = self._call(server, exchange, max(in_flight, WARM_UP_CALLS), in_flight)
            self._calls[key] = warm_up.load.requests_within(seconds, least=in_flight)
        return self._call(server, exchange, self._calls[key], in_flight)

    def _call(self, server: ServiceProcess, exchange: str, calls: int, in_flight: int) -> Turn:
        indices = EXCHANGES[exchange].indices
        self.asked.setdefault(server.program, Counter()).update({n: count * calls for n, count in indices.items()})
        return measured_turn([server], calls, lambda: Load(**self.ask("call", server.port, exchange, calls, in_flight)))


def call(port: int, name: str, calls: int, in_flight: int) -> dict[str, float]:
    return asdict(asyncio.run(_call(port, name, calls, in_flight)))


async def _call(port: int, name: str, calls: int, in_flight: int) -> Load:
    exchange = EXCHANGES[name]
    request = exchange.request.SerializeToString()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        await channel.channel_ready()
        caller = _Caller(channel.unary_unary(exchange.method), request=request, calls=calls)
        started = time.perf_counter()
        await asyncio.gather(*(caller.call_until_done() for _ in range(in_flight)))
        seconds = time.perf_counter() - started
    if type(exchange.response).FromString(caller.first) != exchange.response:
        raise ValueError(f"{exchange.method} answered {caller.first[:200]!r}")
    return Load(
        requests_per_second=calls / seconds,
        p50_ms=percentile(caller.milliseconds, 0.50),
        p99_ms=percentile(caller.milliseconds, 0.99),
    )


class _Caller:
    def __init__(self, method: Any, *, request: bytes, calls: int) -> None:
        self._method = method
        self._request = request
        self._left = calls
        self.first = b""
        self.milliseconds: list[float] = []

    async def call_until_done(self) -> None:
        while self._left:
            self._left -= 1
            started = time.perf_counter()
            response = await self._method(self._request)
            self.milliseconds.append((time.perf_counter() - started) * 1000)
            self.first = self.first or response
            if response != self.first:
                raise ValueError(f"one response is {self.first[:200]!r} and another one {response[:200]!r}")


if __name__ == "__main__":
    serve_tasks({"call": call})
