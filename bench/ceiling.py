"""The ceiling: one constant answer from bare ASGI, on the gateway's own server with the gateway's own settings.

Nothing that is written in Python on this server can be faster. Runs as a process: `python -m bench.ceiling`.
"""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.types import Receive, Scope, Send

from api_gateway.http_server import serving
from api_gateway.settings import Settings
from bench.answers import answer
from deploy.local.processes import ServiceProcess
from service_kit.lifecycle import run_service

PROGRAM = "bench.ceiling"
MEASURED_INDEX = 10

_BODY = answer(MEASURED_INDEX)
_HEADERS = [(b"content-length", str(len(_BODY)).encode()), (b"content-type", b"application/json")]


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    async with serving(app, settings) as port:
        yield port


@contextmanager
def ceiling_process() -> Iterator[ServiceProcess]:
    """The ceiling as a child process of this one, on a free port, ended when it is left."""
    process = ServiceProcess(PROGRAM, {"GATEWAY_LISTEN_PORT": 0, "GATEWAY_LOG_FORMAT": "json"})
    try:
        yield process.start()
    finally:
        if process.was_started:
            process.kill()


def main() -> None:
    run_service(
        program=PROGRAM,
        settings_type=Settings,
        running=running,
        arguments=sys.argv[1:],
        environment=os.environ,
    )


if __name__ == "__main__":
    main()
