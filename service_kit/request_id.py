"""The id that follows one request through every service and into every log line."""

import itertools
import re
import secrets
from contextvars import ContextVar

#: The HTTP header; as gRPC metadata it is written in lower case.
HEADER = "X-Request-ID"
METADATA_KEY = HEADER.lower()
MAX_LENGTH = 64

current_request_id: ContextVar[str] = ContextVar("current_request_id", default="")

_ACCEPTED = re.compile(rf"[A-Za-z0-9._-]{{1,{MAX_LENGTH}}}")
# A random prefix for each process and a counter cost 0.2 us a request; a fresh uuid4 costs 2.
_prefix = secrets.token_hex(6)
_counter = itertools.count(1)


def new_request_id() -> str:
    return f"{_prefix}-{next(_counter):x}"


def accept_request_id(offered: str) -> str:
    """What a caller offered if it is safe to log and to pass on, else a new id."""
    return offered if _ACCEPTED.fullmatch(offered) else new_request_id()
