"""Worker processes as the operating system sees them, and tasks that keep one at work."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from fibonacci_service import worker_pool
from fibonacci_service.child_process import ChildProcess, start_child
from fibonacci_service.worker_pool import WorkerPool

#: An index that a worker computes for seconds.
LONG = 100_000_000
#: Computing it ends only by being ended: more terms than anybody reads.
ENDLESS: dict[str, Any] = {"seconds": 1_000, "start": 0, "count": 1_000_000_000}
DECIMAL = 1


class Processes:
    """Every process that is started while a test runs, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[ChildProcess] = []
        self._new: asyncio.Queue[ChildProcess] = asyncio.Queue()
        self._held = False
        self._start: Callable[..., Awaitable[ChildProcess]] = start_child
        monkeypatch.setattr(worker_pool, "start_child", self._observed)

    async def next(self) -> ChildProcess:
        """The next one that is started and was not asked for yet."""
        async with asyncio.timeout(30):
            return await self._new.get()

    async def next_held(self) -> ChildProcess:
        """The next one that is started, held as `held` says."""
        with self.held():
            return await self.next()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Every process that is started meanwhile is stopped before it has a task: it is at it until it is killed."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    @property
    def running(self) -> list[ChildProcess]:
        return [process for process in self.all if process.returncode is None]

    async def _observed(self, *arguments: Any, **options: Any) -> ChildProcess:
        process = await self._start(*arguments, **options)
        if self._held:
            os.kill(process.pid, signal.SIGSTOP)
        self.all.append(process)
        self._new.put_nowait(process)
        return process


def pool_of(**changes: Any) -> WorkerPool:
    return WorkerPool(**{"size": 1, "max_queued_seconds": 1_000, "memory_bytes": 1 << 30, **changes})


def is_there(process: ChildProcess) -> bool:
    """Whether the operating system knows the process, even if it has ended and nobody has looked."""
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def kill(process: ChildProcess) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended, and asyncio not have heard of it yet
        os.kill(process.pid, signal.SIGKILL)


async def until_killed(process: ChildProcess) -> None:
    """With patience: what gives way to everything takes seconds on a busy machine to be gone, once killed."""
    async with asyncio.timeout(60):
        await process.wait()
    assert not is_there(process)
    assert process.returncode == -signal.SIGKILL  # otherwise it goes on to its next task


async def ask(pool: WorkerPool, n: int = 10) -> bytes:
    return (await pool.whole("value", seconds=1, n=n, encoding=DECIMAL))[0]


async def keep_busy(pool: WorkerPool) -> None:
    await pool.whole("value", seconds=10, n=LONG, encoding=DECIMAL)
