"""Waits until the system answers, then says what to try."""

import os
import shlex
import ssl
import sys
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path

from api_gateway.settings import Settings
from deploy.local.certificates import CLIENT
from service_kit.settings import load_settings

READY = "Ready."
PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.05


def answers(url: str, context: ssl.SSLContext | None) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1, context=context):  # noqa: S310 - a URL of our own
            return True
    except (OSError, HTTPException):
        return False


def own_context(settings: Settings) -> ssl.SSLContext | None:
    """For the gateway of this machine, which is believed without a look, and which knows its own certificate."""
    if not settings.tls_certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context


def curl(settings: Settings) -> str:
    """With the options that a gateway with TLS asks for: files that `make certs` puts beside its certificate."""
    if not settings.tls_certificate:
        return "curl"
    folder = Path(settings.tls_certificate).parent
    shown = {"--cacert": folder / "ca.pem"}
    if settings.tls_client_ca:
        shown |= {"--cert": folder / f"{CLIENT}.pem", "--key": folder / f"{CLIENT}.key"}
    return " ".join(
        ["curl", *(f"{option} {shlex.quote(str(path))}" for option, path in shown.items() if path.is_file())]
    )


def main() -> None:
    settings = load_settings(Settings, program="api_gateway", arguments=[])
    context = own_context(settings)
    address = f"localhost:{settings.listen_port}"
    base = f"https://{address}" if context else f"http://{address}"
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    # /stats answers only when all three services do.
    while not (answers(f"{base}/readyz", context) and answers(f"{base}/stats", context)):
        if time.monotonic() > patience_ends or os.getppid() == 1:
            sys.exit("The services do not answer yet; the lines above say why.")
        time.sleep(PAUSE_SECONDS)
    shown = base.removeprefix("http://")
    command = curl(settings)
    print(f"\n{READY} Try:\n\n    {command} '{shown}/fib?n=10'\n    {command} {shown}/stats\n", flush=True)


if __name__ == "__main__":
    main()
