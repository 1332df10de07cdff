"""Sends loads to whoever is compared, and keeps the account of what was asked."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Turn
from bench.h2load import requests_of_each, send_load
from bench.resources import measured_turn
from deploy.local.processes import ServiceProcess

#: Enough to tell the rate: connecting, which they wait for too, is a small part of them.
WARM_UP_REQUESTS_A_CONNECTION = 20
MIN_WARM_UP_REQUESTS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Whoever answers GET /fib on this port: for which numbers it is asked, and which processes that keeps busy."""

    name: str
    port: int
    indices: Sequence[int]
    processes: Sequence[ServiceProcess]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class LoadClient:
    """`asked` has, for each contender, how often it was asked for which number."""

    def __init__(self, *, seconds: float, folder: Path) -> None:
        self._seconds = seconds
        self._folder = folder
        self._requests: dict[tuple[str, int], int] = {}
        self.asked: dict[str, Counter[int]] = {}

    def measure(self, contender: Contender, connections: int) -> Turn:
        """One load. The first one at this number of connections follows a short one, which tells how many requests."""
        requests = self._requests.get((contender.name, connections)) or self._warm_up(contender, connections)
        return self._send(contender, requests, connections)

    def _warm_up(self, contender: Contender, connections: int) -> int:
        few = max(MIN_WARM_UP_REQUESTS, WARM_UP_REQUESTS_A_CONNECTION * connections)
        requests = self._send(contender, few, connections).load.requests_within(self._seconds, least=connections)
        self._requests[contender.name, connections] = requests
        return requests

    def _send(self, contender: Contender, requests: int, connections: int) -> Turn:
        counts = requests_of_each(contender.indices, requests=requests, connections=connections)
        self.asked.setdefault(contender.name, Counter()).update(counts)
        urls = [f"{contender.url}/fib?n={n}" for n in contender.indices]
        return measured_turn(
            contender.processes,
            requests,
            lambda: send_load(urls, requests=requests, connections=connections, folder=self._folder),
        )
