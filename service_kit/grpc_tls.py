"""gRPC over TLS whose certificates are replaced while it runs."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc
import structlog

from service_kit.tls import Certificates, watching
from service_kit.tls_files import Pem

log = structlog.get_logger()

#: How long calls in flight may go on over the old certificate: as long as the longest deadline that can be set.
RETIRE_SECONDS = 600.0
#: After this long without a connection over the new certificate there is a line in the log.
PATIENCE_SECONDS = 10.0


def server_credentials(certificates: Certificates) -> grpc.ServerCredentials:
    """Asked anew at every handshake. With authorities of clients each client has to show a certificate of theirs."""
    given = certificates.pem

    def changed() -> grpc.ServerCertificateConfiguration | None:
        # gRPC asks from threads of its own.
        nonlocal given
        if certificates.pem == given:
            return None
        given = certificates.pem
        return _configuration(given)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        changed,  # type: ignore[arg-type]  # None is for no change
        require_client_authentication=bool(given.ca),
    )


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration([(pem.key, pem.certificate)], root_certificates=pem.ca or None)


def channel_credentials(pem: Pem) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(pem.ca or None, pem.key or None, pem.certificate or None)


class ReloadedChannel(grpc.aio.Channel):
    """A channel that is made anew with each new certificate, for gRPC's own keep the one that they were made with.

    The new one takes over once it has a connection. Until then, and for calls in flight, the old one stays.
    """

    def __init__(
        self, connect: Callable[[], grpc.aio.Channel], certificates: Certificates, *, target: str = ""
    ) -> None:
        """`target` is where it leads, for the log."""
        self._connect = connect
        self._target = target
        self._current = connect()
        self._open = {self._current}
        self._methods: list[_Method] = []
        self._replaced = asyncio.Event()
        self._connecting: asyncio.Task[None] | None = None
        self._retiring: set[asyncio.Task[None]] = set()
        self._watching = watching(certificates, self._certificate_changed)

    async def __aenter__(self) -> Self:
        await self._watching.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._watching.__aexit__(None, None, None)
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        self._give_up_connecting()
        await asyncio.gather(*(channel.close(grace) for channel in self._open))
        await asyncio.gather(*self._retiring)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002
        return self._current.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns as well when another channel took over."""
        changed = asyncio.ensure_future(self._current.wait_for_state_change(last_observed_state))
        replaced = asyncio.ensure_future(self._replaced.wait())
        try:
            await asyncio.wait((changed, replaced), return_when=asyncio.FIRST_COMPLETED)
            if changed.done():
                changed.result()
        finally:
            changed.cancel()
            replaced.cancel()

    async def channel_ready(self) -> None:
        while (state := self.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.READY:
            await self.wait_for_state_change(state)

    def unary_unary(self, *arguments: Any, **options: Any) -> Any:
        return self._method(lambda channel: channel.unary_unary(*arguments, **options))

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        return self._method(lambda channel: channel.unary_stream(*arguments, **options))

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        return self._method(lambda channel: channel.stream_unary(*arguments, **options))

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        return self._method(lambda channel: channel.stream_stream(*arguments, **options))

    def _method(self, of: Callable[[grpc.aio.Channel], Callable[..., Any]]) -> "_Method":
        method = _Method(of, self._current)
        self._methods.append(method)
        return method

    def _certificate_changed(self) -> None:
        self._give_up_connecting()
        self._connecting = asyncio.create_task(self._replace(self._connect()))

    def _give_up_connecting(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()

    async def _replace(self, new: grpc.aio.Channel) -> None:
        try:
            await self._connected(new)
        except asyncio.CancelledError:
            await new.close()
            raise
        old, self._current = self._current, new
        self._open.add(new)
        for method in self._methods:
            method.go_by(new)
        self._replaced.set()
        self._replaced = asyncio.Event()
        log.info("channel.replaced", target=self._target)
        task = asyncio.create_task(self._retire(old))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _connected(self, channel: grpc.aio.Channel) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await channel.channel_ready()
        except TimeoutError:
            why = "no connection over the new certificate; the old one stays in use"
            log.warning("channel.not_replaced", target=self._target, error=why)
            await channel.channel_ready()

    async def _retire(self, old: grpc.aio.Channel) -> None:
        await old.close(RETIRE_SECONDS)
        self._open.discard(old)


class _Method:
    """One method of a stub, called over whichever channel is the newest."""

    def __init__(self, of: Callable[[grpc.aio.Channel], Callable[..., Any]], channel: grpc.aio.Channel) -> None:
        self._of = of
        self.go_by(channel)

    def go_by(self, channel: grpc.aio.Channel) -> None:
        self._call = self._of(channel)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._call(*arguments, **options)
