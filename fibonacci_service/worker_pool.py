"""The pool of worker processes, where everything runs that would hold up the event loop.

GMP does not let go of Python's lock, so only a process of its own keeps a long computation from the small ones, and
only a process can be ended in the middle of one. Each child has a connection of its own: no pickle, and one that is
killed while it writes breaks that and nothing else.
"""

import asyncio
import contextlib
import contextvars
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import structlog

from fibonacci_service.backlog import Backlog
from fibonacci_service.child_process import ChildProcess, start_child
from fibonacci_service.errors import WorkerLost
from fibonacci_service.frames import HEADER, Kind, frame
from service_kit.admission import step_aside
from service_kit.traces import timed

log = structlog.get_logger()

#: How much of an answer waits in this process before its worker has to wait.
BUFFER_BYTES = 1 << 20


class Answer:
    """The pieces of one answer, and the SHA-256 of a value once they have all been read."""

    def __init__(self, process: ChildProcess) -> None:
        self._process = process
        self.complete = False
        self.sha256 = b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """Raises WorkerLost when the process ends before its answer does."""
        reader = self._process.reader
        try:
            while True:
                kind, length = HEADER.unpack(await reader.readexactly(HEADER.size))
                payload = await reader.readexactly(length)
                if kind == Kind.END:
                    self.complete, self.sha256 = True, payload
                    return
                yield payload
        except (asyncio.IncompleteReadError, ConnectionError):
            raise WorkerLost(await self._process.wait()) from None


class WorkerPool:
    """At most `size` processes, started when they are needed; tasks wait for one for some `max_queued_seconds`."""

    def __init__(self, *, size: int, max_queued_seconds: float, memory_bytes: int) -> None:
        self.size = size
        self.backlog = Backlog(size=size, max_seconds=max_queued_seconds)
        self._memory_bytes = memory_bytes
        self._free = asyncio.Semaphore(size)
        self._idle: list[ChildProcess] = []
        self._working: set[ChildProcess] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._left = False
        #: Processes that were started, that ended by themselves, and that were killed in the middle of a task.
        self.started = 0
        self.lost = 0
        self.killed = 0

    @property
    def pids(self) -> list[int]:
        """Of the processes that there are."""
        return [process.pid for process in (*self._idle, *self._working)]

    def step_aside(self) -> None:
        """Has the call that is being answered give its place to the next before it waits. Raises WorkersBusy."""
        if not step_aside():
            raise self.backlog.refusal()

    def admit(self) -> None:
        """Raises WorkersBusy where a further task would have to wait, and too much work waits already."""
        if self._free.locked():
            self.backlog.check()

    @asynccontextmanager
    async def run(
        self, name: str, *, seconds: float, admitted: bool = False, **operands: int | str
    ) -> AsyncIterator[Answer]:
        """Runs one task of worker.py, predicted to take so long; its answer is read inside the context.

        Leaving before the answer is complete, by an error or because the caller was cancelled, kills the
        process. Raises WorkersBusy when too much work waits, unless it was admitted before, and WorkerLost when the
        process dies.
        """
        async with self._turn(name, seconds, admitted=admitted):
            process, fresh = await self._process()
            answer = Answer(process)
            self._working.add(process)
            started = time.monotonic()
            try:
                await self._send(process, {"name": name, **operands})
                yield answer
            finally:
                self._working.discard(process)
                if answer.complete:
                    self._idle.append(process)
                    if not fresh:  # a fresh one had to start first
                        self.backlog.learn(seconds, time.monotonic() - started)
                else:
                    self._count_end(process)
                    await self._kill(process)

    async def whole(self, name: str, *, seconds: float, **operands: int | str) -> tuple[bytes, bytes]:
        """Runs one task to its end, and returns the answer, and its SHA-256 where it is a value."""
        async with self.run(name, seconds=seconds, admitted=False, **operands) as answer:
            pieces = [piece async for piece in answer.pieces()]
        return b"".join(pieces), answer.sha256

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Ends every process. A task that is at work or waits raises WorkerLost, and reaps what it had."""
        self._left = True
        for process in self._working:
            process.kill()
        for watching in self._watching:
            watching.cancel()
        for process in self._idle:
            await self._kill(process)
        self._idle.clear()

    @asynccontextmanager
    async def _turn(self, name: str, seconds: float, *, admitted: bool) -> AsyncIterator[None]:
        if not admitted:
            self.admit()
        with self.backlog.waiting(seconds), timed("worker.wait", task=name, predicted_seconds=seconds):
            await self._free.acquire()
        try:
            with self.backlog.at_work(seconds), timed("worker.run", task=name, predicted_seconds=seconds):
                yield
        finally:
            self._free.release()

    async def _process(self) -> tuple[ChildProcess, bool]:
        """A process, and whether it was started for this. Raises WorkerLost where the pool was left."""
        if self._left:
            raise WorkerLost(-signal.SIGKILL)  # as the process was that it waited for
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process, False
            self._lose(process, busy=False)
        arguments = ("-m", "fibonacci_service.worker", str(os.getpid()), str(self._memory_bytes))
        process = await start_child(sys.executable, *arguments, buffer_bytes=BUFFER_BYTES)
        self.started += 1
        self._watch(process)
        if self._left:  # while it started; who reads its answer learns of its end
            process.kill()
        return process, True

    async def _send(self, process: ChildProcess, task: dict[str, object]) -> None:
        # Where the process is gone already (uvloop then raises RuntimeError), reading the answer says so.
        with contextlib.suppress(ConnectionError, RuntimeError):
            process.writer.write(frame(Kind.TASK, json.dumps(task).encode()))
            await process.writer.drain()

    def _watch(self, process: ChildProcess) -> None:
        """Has the end of the process noticed when it comes, and not with the next task."""

        async def wait() -> None:
            await process.wait()
            if process in self._idle:
                self._idle.remove(process)
                self._lose(process, busy=False)

        watching = asyncio.create_task(wait())
        self._watching.add(watching)
        watching.add_done_callback(self._watching.discard)

    def _count_end(self, process: ChildProcess) -> None:
        if process.returncode is None:
            self.killed += 1
        else:
            self._lose(process, busy=True)

    def _lose(self, process: ChildProcess, *, busy: bool) -> None:
        self.lost += 1
        # An idle one is lost by no request, least of all by the one that it was started for, or that finds it so.
        context = contextvars.copy_context() if busy else contextvars.Context()
        context.run(_tell_lost, process, busy=busy)

    async def _kill(self, process: ChildProcess) -> None:
        process.kill()
        await asyncio.shield(_ended(process))


def _tell_lost(process: ChildProcess, *, busy: bool) -> None:
    log.warning("worker.lost", exit_status=process.returncode, busy=busy)


async def _ended(process: ChildProcess) -> None:
    """Reads what is left, without which the connection of a process that was writing is not closed."""
    with contextlib.suppress(ConnectionError):
        while await process.reader.read(BUFFER_BYTES):
            pass
    await process.wait()
