"""Runs one service in this process and says which modules a running one has loaded: `python -m ... api_gateway`."""

import asyncio
import importlib
import sys


async def main(service: str) -> None:
    settings = importlib.import_module(f"{service}.settings").Settings()
    async with importlib.import_module(f"{service}.app").running(settings):
        print("loaded", *sorted(sys.modules))  # noqa: T201 - whoever started it reads that


asyncio.run(main(sys.argv[1]))
