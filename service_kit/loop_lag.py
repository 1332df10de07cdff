"""How late the event loop comes to what is due, the wait that everything on it has, and how many tasks it holds."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service_kit.lifecycle import supervise
from service_kit.metrics import Histogram, Metrics

#: A timer looks at the clock when it fires; ten wake-ups a second are what this costs.
INTERVAL_SECONDS = 0.1
_BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


@asynccontextmanager
async def measuring_lag(metrics: Metrics) -> AsyncIterator[None]:
    """Measures until it is left."""
    lag = Histogram(_BOUNDS_SECONDS)
    metrics.histogram("event_loop_lag_seconds", "How late a timer fires that is due ten times a second.", {(): lag})
    metrics.gauge("event_loop_tasks", "Tasks that are not done.", lambda: len(asyncio.all_tasks()))
    task = asyncio.create_task(supervise("loop_lag", lambda: _measure(lag)))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _measure(lag: Histogram) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + INTERVAL_SECONDS
        await asyncio.sleep(INTERVAL_SECONDS)
        lag.observe(max(0.0, loop.time() - due))
