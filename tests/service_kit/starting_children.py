"""Starts so many children while calls are under way: `python -m tests.service_kit.starting_children 500`.

Prints how often each exit status came.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter

from service_kit.grpc_variables import set_grpc_variables

set_grpc_variables(os.environ)  # before anything loads gRPC

import uvloop

from tests.service_kit.small_service import double, served

AT_ONCE = 4


async def start() -> int:
    """Likewise the services start their workers."""
    child = await asyncio.create_subprocess_exec("true", stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    return await child.wait()


async def main(count: int) -> None:
    ended: Counter[int] = Counter()
    async with served(double, policy="errors") as client:
        for _ in range(count // AT_ONCE):
            *statuses, _ = await asyncio.gather(*(start() for _ in range(AT_ONCE)), client.ask(1))
            ended.update(statuses)
    print(dict(ended))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
