"""What a test does with the directory of `make certs`."""

import shlex
import ssl
from pathlib import Path


def settings_of(certificates: Path) -> dict[str, str]:
    """What a shell makes of tls.env."""
    lines = shlex.split((certificates / "tls.env").read_text(encoding="utf-8"))
    return dict(line.split("=", 1) for line in lines)


def client_context(certificates: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    return context
