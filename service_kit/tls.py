"""TLS from files: checked at the start, looked at again every second, and taken over once they are new and good."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from service_kit.lifecycle import CannotStart, supervise
from service_kit.settings import ServiceSettings

log = structlog.get_logger()

LOOK_SECONDS = 1.0
#: The authorities of a whole operating system take a quarter of it.
MAX_FILE_BYTES = 1 << 20


class TlsFault(CannotStart):
    """A file that TLS cannot use; the text names the setting, the file and the reason."""

    def __init__(self, file: "TlsFile", reason: str) -> None:
        super().__init__(f"{file.setting}={file.path!r}: {reason}")


@dataclass(frozen=True, slots=True)
class TlsFile:
    """A PEM file and the setting that names it; no path where the setting is empty."""

    setting: str
    path: str

    def read(self) -> bytes:
        """Empty without a path. Raises TlsFault."""
        if not self.path:
            return b""
        try:
            with Path(self.path).open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except (OSError, ValueError) as error:
            raise TlsFault(self, getattr(error, "strerror", None) or str(error)) from None
        if len(content) > MAX_FILE_BYTES:
            raise TlsFault(self, f"has more than {MAX_FILE_BYTES} bytes")
        return content


@dataclass(frozen=True, slots=True)
class Pem:
    """What the files hold; empty for one that is not set."""

    certificate: bytes
    key: bytes
    ca: bytes


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What one end of a connection shows, and the authorities that it believes the other end by."""

    certificate: TlsFile
    key: TlsFile
    ca: TlsFile

    def read(self) -> Pem:
        return Pem(self.certificate.read(), self.key.read(), self.ca.read())

    def load(self, context: ssl.SSLContext) -> None:
        """Loads the files into a context, which is what checks them. Raises TlsFault."""
        if self.ca.path:
            _load_authorities(context, self.ca)
        if self.certificate.path:
            _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.certificate)
            _load_certificate(context, self.certificate, self.key)


def _load_authorities(context: ssl.SSLContext, file: TlsFile) -> None:
    try:
        context.load_verify_locations(cafile=file.path)
    except OSError:  # which ssl.SSLError is
        raise TlsFault(file, "holds no PEM certificate") from None


def _load_certificate(context: ssl.SSLContext, certificate: TlsFile, key: TlsFile) -> None:
    def refuse_passphrase() -> str:
        raise TlsFault(key, "is encrypted; a key without a passphrase is needed")

    try:
        # Without a function OpenSSL would ask at the terminal.
        context.load_cert_chain(certificate.path, key.path, password=refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsFault(key, f"does not fit {certificate.setting}={certificate.path!r}") from None
        raise TlsFault(key, f"holds no PEM key that can be used with {certificate.setting}") from None


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
        return settled and seen not in (self.pem, self._refused) and self._take(seen)

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
        self.pem, self.context, self._refused = pem, context, None
        log.info("tls.reloaded", certificate=self._files.certificate.path, ca=self._files.ca.path)
        return True

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

    Raises TlsFault.
    """
    files = _files(settings, certificate="tls_certificate", key="tls_key", ca="tls_client_ca")
    if not files.certificate.path:
        yield None
        return
    certificates = Certificates(files)
    async with watching(certificates):
        yield certificates


def calling_tls(settings: ServiceSettings, callee: str) -> CallTls | None:
    """How calls to that service are secured; None, which is no TLS, without authorities for it. Raises TlsFault."""
    files = _files(settings, certificate="call_certificate", key="call_key", ca=f"{callee}_ca")
    if not files.ca.path:
        return None
    return CallTls(Certificates(files), server_name=getattr(settings, f"{callee}_server_name"))


def _files(settings: ServiceSettings, *, certificate: str, key: str, ca: str) -> TlsFiles:
    def file(name: str) -> TlsFile:
        return TlsFile(setting=f"{settings.prefix()}{name.upper()}", path=getattr(settings, name))

    return TlsFiles(certificate=file(certificate), key=file(key), ca=file(ca))
