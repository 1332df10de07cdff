"""The PEM files that TLS goes by: read within bounds, and loaded in a way that tells which of them is at fault."""

import ssl
from dataclasses import dataclass
from pathlib import Path

#: The authorities of a whole operating system take a quarter of it.
MAX_FILE_BYTES = 1 << 20


class TlsFault(Exception):
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

    @property
    def settings(self) -> list[str]:
        """Those that name a file."""
        return [file.setting for file in (self.certificate, self.key, self.ca) if file.path]

    def read(self) -> Pem:
        return Pem(self.certificate.read(), self.key.read(), self.ca.read())

    def load(self, context: ssl.SSLContext) -> Pem:
        """Loads the files into a context, which is what checks them, and returns what they hold. Raises TlsFault."""
        pem = self.read()
        if self.ca.path:
            _load_authorities(context, self.ca)
        if self.certificate.path:
            _load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), self.certificate)
            _load_certificate(context, self.certificate, self.key)
        return pem


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
    except OSError as error:
        if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
            raise TlsFault(key, f"does not fit {certificate.setting}={certificate.path!r}") from None
        raise TlsFault(key, f"holds no PEM key that can be used with {certificate.setting}") from None
