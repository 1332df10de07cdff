"""When a client wants the answer to its request at the latest, where it says so."""

import asyncio
import re
from contextvars import ContextVar
from typing import Any

from api_gateway.errors import TimeoutOutOfBounds

HEADER = "X-Request-Timeout-Ms"
#: As OpenAPI has it.
PARAMETER: dict[str, Any] = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "integer", "minimum": 1},
    "description": "How long the client waits for the answer, in milliseconds; of a stream, for its first part. "
    "The gateway's settings say how long that may be, and how long it is otherwise.",
}

#: A time of the loop's clock; None where the client does not say, and then each service has its own.
current_deadline: ContextVar[float | None] = ContextVar("current_deadline", default=None)

_INTEGER = re.compile(rb"[1-9][0-9]{0,8}")


def take(value: bytes, *, max_seconds: float) -> None:
    """Gives the request the deadline that its header field asks for. Raises TimeoutOutOfBounds."""
    milliseconds = int(value) if _INTEGER.fullmatch(value) else 0
    if not 1 <= milliseconds <= max_seconds * 1000:
        raise TimeoutOutOfBounds(HEADER, max_milliseconds=round(max_seconds * 1000))
    current_deadline.set(asyncio.get_running_loop().time() + milliseconds / 1000)
