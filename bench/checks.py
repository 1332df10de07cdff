"""Whether the answers and the account of them are right: fast and wrong is no figure."""

import time
from collections import Counter
from collections.abc import Mapping

import httpx

from bench.answers import EACH_INDEX, answer
from bench.errors import BenchmarkFailed

#: Every number of the loads, and the first ones beyond int64.
INDICES = (*EACH_INDEX, 93, 300)
MOST_ROWS = 1_000
SETTLE_SECONDS = 15.0
#: How long after the total was right it is read again, so that a request counted twice is seen: four record intervals.
SECOND_LOOK_SECONDS = 0.2


def open_client() -> httpx.Client:
    """A client that no proxy setting of the environment can send elsewhere."""
    return httpx.Client(trust_env=False, timeout=30)


def check_bodies(client: httpx.Client, url: str, indices: tuple[int, ...] = INDICES) -> Counter[int]:
    """Asks for each number once and compares every byte; returns what that adds to the account."""
    for n in indices:
        response = client.get(f"{url}/fib", params={"n": n})
        if (response.status_code, response.content) != (200, answer(n)):
            raise BenchmarkFailed(f"GET /fib?n={n} answered {response.status_code} {response.text[:200]!r}")
    return Counter(indices)


def check_account(
    client: httpx.Client, url: str, expected: Mapping[int, int], *, seconds: float = SETTLE_SECONDS
) -> None:
    """Waits until GET /stats counts exactly the requests that were sent, and makes sure that it stays so.

    The account of each number counts too; there are at most 1,000, the most that one page holds.
    """
    total = sum(expected.values())
    patience_ends = time.monotonic() + seconds
    while _counted(client, url)[0] != total and time.monotonic() < patience_ends:
        time.sleep(0.05)
    time.sleep(SECOND_LOOK_SECONDS)
    counted, counts = _counted(client, url)
    if counted != total:
        raise BenchmarkFailed(f"{total} requests were sent and GET /stats counts {counted}")
    wrong = [n for n in {*expected, *counts} if expected.get(n, 0) != counts.get(n, 0)]
    if wrong:
        n = min(wrong)
        raise BenchmarkFailed(f"{expected.get(n, 0)} requests were for n={n} and GET /stats counts {counts.get(n, 0)}")


def _counted(client: httpx.Client, url: str) -> tuple[int, dict[int, int]]:
    """The total and the count of each number; the total is -1 while the account cannot be read."""
    response = client.get(f"{url}/stats", params={"limit": MOST_ROWS})
    if not response.is_success:
        return -1, {}
    account = response.json()
    return int(account["total_requests"]), {row["n"]: row["request_count"] for row in account["fibonacci_stats"]}
