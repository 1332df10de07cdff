"""What the gateway does to count one request, by itself: less than loads of whole services can show."""

import time

from api_gateway.http_counts import HttpCounts, RouteTemplates

COUNTED = 50_000


def counting_us(*, repetitions: int) -> list[float]:
    """Microseconds for one request, with the two looks at the clock that its duration takes."""
    return [_count(HttpCounts(RouteTemplates(["/fib"]))) for _ in range(repetitions)]


def _count(counts: HttpCounts) -> float:
    began = time.perf_counter()
    for _ in range(COUNTED):
        started = time.perf_counter()
        counts.served(method="GET", path="/fib", status=200, seconds=time.perf_counter() - started)
    return (time.perf_counter() - began) * 1_000_000 / COUNTED
