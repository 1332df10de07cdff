"""What the account says, asked until it says what it should or the time is up."""

import time

import httpx

from deploy.local.processes import System


def total(system: System) -> int:
    """The total of GET /stats; -1 while stats_service cannot be asked."""
    response = httpx.get(f"{system.url}/stats", timeout=30)
    return int(response.json()["total_requests"]) if response.status_code == 200 else -1


def settled_total(system: System, expected: int, *, seconds: float = 15) -> int:
    """The total once it is what is expected, or what it is when the time is up.

    It is read once more a little after it was right, so that a request counted twice is seen.
    """
    patience_ends = time.monotonic() + seconds
    while total(system) != expected and time.monotonic() < patience_ends:
        time.sleep(0.05)
    time.sleep(0.2)
    return total(system)
