"""Starts a process in the way that is safe beside gRPC's threads, and speaks to it over a pair of sockets.

uvloop's own way forks and runs Python in the child, which may collect garbage there. Where that is gRPC's, the child
waits for a lock whose thread it has not got, and the event loop waits for the child, both for ever. `subprocess` runs
no Python in between, and on Linux it copies nothing of this process.
"""

import asyncio
import contextlib
import socket
import subprocess
import threading
from collections.abc import Sequence


class ChildProcess:
    """One that was started by `start_child`; it is reaped when it ends, whether somebody waits for that or not."""

    def __init__(
        self, process: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.pid = process.pid
        #: As `subprocess` has it, negative for a signal; None until its end was noticed.
        self.returncode: int | None = None
        #: What it writes to its standard output, and what it finds in its standard input.
        self.reader = reader
        self.writer = writer
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        # One thread for each child: there is nothing else that every system tells a process's end by.
        threading.Thread(target=self._reap, name=f"child-{self.pid}", daemon=True).start()

    async def wait(self) -> int:
        """Its return code, once it has ended."""
        await self._ended.wait()
        assert self.returncode is not None  # noqa: S101 - that is what was waited for
        return self.returncode

    def kill(self) -> None:
        """Nothing where it has ended already."""
        self._process.kill()

    def _reap(self) -> None:
        self._process.wait()
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self.returncode = self._process.returncode
        self._ended.set()


class _Stream(asyncio.StreamReaderProtocol):
    def eof_received(self) -> bool:
        """Has the connection closed: nobody reads at the other end either."""
        super().eof_received()
        return False


async def start_child(*command: str, buffer_bytes: int) -> ChildProcess:
    """Up to twice `buffer_bytes` of its output wait here before it has to; what it says of errors goes nowhere.

    Raises OSError where it cannot be started.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(buffer_bytes)
    stream = _Stream(reader)
    ours, theirs = socket.socketpair()
    with theirs:  # which closes the connection, where no child has that end too
        transport, _ = await loop.create_unix_connection(lambda: stream, sock=ours)
        process = _spawn(command, theirs.fileno())
    return ChildProcess(process, reader, asyncio.StreamWriter(transport, stream, reader, loop))


def _spawn(command: Sequence[str], connection: int) -> subprocess.Popen[bytes]:
    """Holds up the event loop for the millisecond until the child is the other program.

    A thread could not do it: on Linux a worker ends with the thread that started it.
    """
    return subprocess.Popen(command, stdin=connection, stdout=connection, stderr=subprocess.DEVNULL)  # noqa: S603
