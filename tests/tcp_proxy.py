"""A TCP proxy on loopback that breaks connections at a chosen moment, or falls silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PIECE_BYTES = 65_536
#: Of the event loop, from a connection that it has accepted to the first step of the task for it, and some more.
ACCEPTING_TURNS = 10


class TcpProxy:
    """Passes on what clients and the server behind it say to each other, until it is told to break that off."""

    def __init__(self, *, upstream_host: str, upstream_port: int) -> None:
        self._upstream_host, self._upstream_port = upstream_host, upstream_port
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()
        self._bytes_until_cut: int | None = None
        self._cut = asyncio.Event()
        self._requests_pass, self._replies_pass = asyncio.Event(), asyncio.Event()
        self._requests_pass.set()
        self._replies_pass.set()
        self._held = asyncio.Event()
        self._stopped = False
        #: Connections that clients have opened.
        self.accepted = 0
        #: Cuts after which the server had a part of what the client had written at once.
        self.cut_in_the_middle = 0

    @property
    def port(self) -> int:
        if self._listener is None:
            raise RuntimeError("the proxy was not started")
        return int(self._listener.sockets[0].getsockname()[1])

    async def cut_after(self, request_bytes: int) -> None:
        """Breaks every connection once clients have sent so many bytes more, and returns when that was done."""
        self._cut.clear()
        self._bytes_until_cut = request_bytes
        await self._cut.wait()

    async def hold_replies(self) -> None:
        """Passes on nothing that the server says until `cut`, and returns when it has said something."""
        self._held.clear()
        self._replies_pass.clear()
        await self._held.wait()

    def let_replies_pass(self) -> None:
        """Passes on what was held back, and what follows."""
        self._replies_pass.set()

    def fall_silent(self) -> None:
        """Passes on nothing any more until `cut`, and closes nothing: as a machine that lost its power or its cable."""
        self._requests_pass.clear()
        self._replies_pass.clear()

    def cut(self) -> None:
        """Breaks every connection, with what was held back; new ones are passed on as before."""
        for writer in self._connections:
            writer.transport.abort()
        self._connections.clear()
        self._bytes_until_cut = None
        self._cut.set()
        self._requests_pass.set()
        self._replies_pass.set()

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", 0)

    async def stop(self) -> None:
        self._stopped = True
        for listening in self._listener.sockets if self._listener else ():
            asyncio.get_running_loop().remove_reader(listening)
        self.cut()
        # A connection that is accepted and has no task yet when the listener is closed would stay open.
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        while self._relays:
            await asyncio.gather(*self._relays, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._track(asyncio.current_task())
        if self._stopped:
            writer.transport.abort()
            return
        with contextlib.suppress(ConnectionError):  # the server may be away
            server_reader, server_writer = await asyncio.open_connection(self._upstream_host, self._upstream_port)
            self._connections |= {writer, server_writer}
            if self._stopped:  # while the server was connected to
                self.cut()
                return
            for relay in (self._requests(reader, server_writer), self._replies(server_reader, writer)):
                self._track(asyncio.create_task(relay))
            return
        writer.transport.abort()

    def _track(self, task: "asyncio.Task[None] | None") -> None:
        """Lets `stop` wait for it."""
        assert task is not None
        self._relays.add(task)
        task.add_done_callback(self._relays.discard)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                await self._requests_pass.wait()
                left = self._bytes_until_cut
                if left is not None and len(piece) >= left:
                    writer.write(piece[:left])
                    await writer.drain()
                    self.cut_in_the_middle += 0 < left < len(piece)
                    self.cut()
                    return
                if left is not None:
                    self._bytes_until_cut = left - len(piece)
                writer.write(piece)
                await writer.drain()
        writer.close()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(PIECE_BYTES):
                self._held.set()
                await self._replies_pass.wait()
                writer.write(piece)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def proxying(port: int, *, host: str = "127.0.0.1") -> AsyncIterator[TcpProxy]:
    proxy = TcpProxy(upstream_host=host, upstream_port=port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
