"""Accounts to copy, and what a command says that does not."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from stats_service.backup import main
from stats_service.summary import Page
from tests.stats_service.accounts import Clock, opened, page, record_numbers


def told(path: Path) -> Page:
    """The account in a file, read as a service would."""

    async def read() -> Page:
        async with opened(f"sqlite:///{path}", Clock()) as store:
            return await page(store)

    return asyncio.run(read())


def fill(path: Path, count: int = 100) -> Page:
    async def record_some() -> Page:
        async with opened(f"sqlite:///{path}", Clock()) as store:
            await record_numbers(store, range(count))
            return await page(store)

    return asyncio.run(record_some())


def counted(path: Path) -> int:
    """With nothing but SQLite, and without opening it for writing."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        total: int = connection.execute("SELECT count FROM totals WHERE n = -1").fetchone()[0]
        return total


class Refused:
    """What a command that did nothing says."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def line(self, command: str, source: Path, target: Path) -> str:
        assert main([command, str(source), str(target)]) == 1
        output, line = self._capsys.readouterr()
        assert (output, len(line.splitlines())) == ("", 1)
        assert line.startswith(f"backup: {command} {source}: ")
        return line
