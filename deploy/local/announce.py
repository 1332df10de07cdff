"""Waits until the system answers, then says what to try."""

import os
import sys
import time
import urllib.request
from http.client import HTTPException

from api_gateway.settings import Settings
from service_kit.settings import load_settings

PATIENCE_SECONDS = 30
PAUSE_SECONDS = 0.05


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - an http:// URL of our own
            return True
    except (OSError, HTTPException):
        return False


def main() -> None:
    settings = load_settings(Settings, program="api_gateway", arguments=[])
    address = f"localhost:{settings.listen_port}"
    patience_ends = time.monotonic() + PATIENCE_SECONDS
    # /stats answers only when all three services do.
    while not (answers(f"http://{address}/readyz") and answers(f"http://{address}/stats")):
        if time.monotonic() > patience_ends or os.getppid() == 1:
            sys.exit("The services do not answer yet; the lines above say why.")
        time.sleep(PAUSE_SECONDS)
    print(f"\nReady. Try:\n\n    curl '{address}/fib?n=10'\n    curl {address}/stats\n", flush=True)


if __name__ == "__main__":
    main()
