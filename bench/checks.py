"""Whether the answers and the account of them are right: fast and wrong is no figure."""

import time

import httpx

from bench.answers import answer
from bench.ceiling import MEASURED_INDEX
from bench.errors import BenchmarkFailed

INDICES = (0, 1, MEASURED_INDEX, 92, 93, 300)
SETTLE_SECONDS = 15.0
#: How long after the total was right it is read again, so that a request counted twice is seen: four record intervals.
SECOND_LOOK_SECONDS = 0.2


def open_client() -> httpx.Client:
    """A client that no proxy setting of the environment can send elsewhere."""
    return httpx.Client(trust_env=False, timeout=30)


def check_bodies(client: httpx.Client, url: str, indices: tuple[int, ...] = INDICES) -> int:
    """Asks for a few numbers and compares every byte; returns how many requests that was."""
    for n in indices:
        response = client.get(f"{url}/fib", params={"n": n})
        if (response.status_code, response.content) != (200, answer(n)):
            raise BenchmarkFailed(f"GET /fib?n={n} answered {response.status_code} {response.text[:200]!r}")
    return len(indices)


def check_total(client: httpx.Client, url: str, *, expected: int, seconds: float = SETTLE_SECONDS) -> None:
    """Waits until GET /stats counts exactly the requests that were sent, and makes sure that it stays so."""
    patience_ends = time.monotonic() + seconds
    while _total(client, url) != expected and time.monotonic() < patience_ends:
        time.sleep(0.05)
    time.sleep(SECOND_LOOK_SECONDS)
    counted = _total(client, url)
    if counted != expected:
        raise BenchmarkFailed(f"{expected} requests were sent and GET /stats counts {counted}")


def _total(client: httpx.Client, url: str) -> int:
    """-1 while the account cannot be read."""
    response = client.get(f"{url}/stats", params={"limit": 1})
    return int(response.json()["total_requests"]) if response.is_success else -1
