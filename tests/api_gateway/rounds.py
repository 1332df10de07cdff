"""How late something is, in rounds of the event loop: a pause of the machine, however long, is one."""

import asyncio
import contextlib

ROUND_SECONDS = 0.01


async def rounds_after(seconds: float) -> int:
    """How often the loop came to a timer between that time and the cancellation of this."""
    rounds = 0
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(seconds)
        while True:
            await asyncio.sleep(ROUND_SECONDS)
            rounds += 1
    return rounds
