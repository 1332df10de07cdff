"""One constant answer from bare ASGI, on uvicorn as it comes.

Nothing that is written in Python on that server can be faster. Runs as a process: `python -m bench.ceilings.bare_asgi`.
"""

from starlette.types import Receive, Scope, Send

from bench.answers import MEASURED_INDEX, answer
from bench.ceilings import BARE_ASGI
from bench.ceilings.http_process import run_app

_BODY = answer(MEASURED_INDEX)
_HEADERS = [(b"content-length", str(len(_BODY)).encode()), (b"content-type", b"application/json")]


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    run_app(BARE_ASGI, app)
