"""TLS from files: checked at the start, looked at again every second, and taken over once they are new and good."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from service_kit.lifecycle import CannotStart, supervise
from service_kit.settings import ServiceSettings
from service_kit.tls_files import Pem, TlsFault, TlsFile, TlsFiles

log = structlog.get_logger()

LOOK_SECONDS = 1.0


class Certificates:
    """The newest good content of the files. Raises TlsFault when they are not good at the start."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self.pem = files.read()
        self.context = self._server_context()
        self._seen: Pem | str = self.pem
        self._refused: Pem | str | None = None

    def look(self) -> bool:
        """Whether something new and good is there; it then is what `pem` and `context` say.

        Two looks in a row have to see it, for a certificate and its key are not replaced at one instant.
        """
        seen = self._read()
        settled = seen == self._seen
        self._seen = seen
        if not settled or seen == self._refused:
            return False
        if seen == self.pem:
            if self._refused is not None:
                self._tell_in_use()  # what was refused is gone again
            return False
        return self._take(seen)

    def _read(self) -> Pem | str:
        """What is there, or why nothing is."""
        try:
            return self._files.read()
        except TlsFault as fault:
            return str(fault)

    def _take(self, seen: Pem | str) -> bool:
        fault = seen
        if isinstance(seen, Pem):
            try:
                context = self._server_context()
            except TlsFault as error:
                fault = str(error)
            else:
                return seen == self._read() and self._use(seen, context)
        self._refused = seen
        log.warning("tls.refused", error=fault)
        return False

    def _use(self, pem: Pem, context: ssl.SSLContext) -> bool:
        self.pem, self.context = pem, context
        self._tell_in_use()
        return True

    def _tell_in_use(self) -> None:
        self._refused = None
        files = self._files
        # Which of the service's ends it is: those that listen and those that call may share a file.
        log.info("tls.reloaded", settings=files.settings, certificate=files.certificate.path, ca=files.ca.path)

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._files.load(context)
        if self._files.ca.path:
            context.verify_mode = ssl.CERT_REQUIRED
            # No session is resumed, for nobody would check its certificate against authorities that are new. TLS 1.2
            # has sessions without tickets, too.
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            context.num_tickets = 0
        return context


@dataclass(frozen=True, slots=True)
class CallTls:
    """How calls to one service are secured. The server name is empty where the target's host is the name."""

    certificates: Certificates
    server_name: str


@asynccontextmanager
async def watching(certificates: Certificates, changed: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """Takes over new files until it is left, and calls `changed` after each time."""

    async def look_for_ever() -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if certificates.look():
                changed()

    task = asyncio.create_task(supervise("tls", look_for_ever))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


@asynccontextmanager
async def listening_tls(settings: ServiceSettings) -> AsyncIterator[Certificates | None]:
    """What the service listens with, kept up to date until it is left; None where it listens without TLS.

    Raises CannotStart.
    """
    certificates = _listening(settings)
    if certificates is None:
        yield None
        return
    async with watching(certificates):
        yield certificates


def calling_tls(settings: ServiceSettings, callee: str) -> CallTls | None:
    """How calls to that service are secured; None, which is no TLS, without authorities for it. Raises CannotStart."""
    files = _files(settings, certificate="call_certificate", key="call_key", ca=f"{callee}_ca")
    if not files.ca.path:
        return None
    return CallTls(_started(files), server_name=getattr(settings, f"{callee}_server_name"))


def check_tls(settings: ServiceSettings) -> None:
    """Raises CannotStart when a file that the settings name is not good."""
    _listening(settings)
    for name in type(settings).model_fields:
        if name.endswith("_ca") and name != "tls_client_ca":
            calling_tls(settings, name.removesuffix("_ca"))


def _listening(settings: ServiceSettings) -> Certificates | None:
    files = _files(settings, certificate="tls_certificate", key="tls_key", ca="tls_client_ca")
    return _started(files) if files.certificate.path else None


def _started(files: TlsFiles) -> Certificates:
    try:
        return Certificates(files)
    except TlsFault as fault:
        raise CannotStart(str(fault)) from None


def _files(settings: ServiceSettings, *, certificate: str, key: str, ca: str) -> TlsFiles:
    def file(name: str) -> TlsFile:
        return TlsFile(setting=f"{settings.prefix()}{name.upper()}", path=getattr(settings, name))

    return TlsFiles(certificate=file(certificate), key=file(key), ca=file(ca))
