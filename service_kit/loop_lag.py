"""How late the event loop comes to what is due: the wait that everything on it has, whoever causes it."""

import asyncio

from service_kit.metrics import Histogram

INTERVAL_SECONDS = 0.1
_BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class LoopLag:
    """A timer that looks at the clock when it fires. Costs ten wake-ups a second."""

    def __init__(self) -> None:
        self.histogram = Histogram(_BOUNDS_SECONDS)

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL_SECONDS
            await asyncio.sleep(INTERVAL_SECONDS)
            self.histogram.observe(max(0.0, loop.time() - due))
