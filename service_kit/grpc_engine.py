"""Which of its two I/O engines gRPC runs on, and what it writes to standard error by itself.

The older engine hands a message to asyncio in two thirds of the time: the newer one wakes a thread of its own for what
a socket has, and that one wakes asyncio's.
"""

from collections.abc import MutableMapping
from importlib.metadata import version

VARIABLE = "GRPC_EXPERIMENTS"
#: By default gRPC also writes what it was told by a client that goes away, line feeds and all, among the log lines.
VERBOSITY_VARIABLE, ERRORS_ONLY = "GRPC_VERBOSITY", "ERROR"
OLDER_ENGINE = "-event_engine_client,-event_engine_listener"
#: The releases of grpcio of which this was measured and tested. Others keep their default: experiments come and go.
TESTED_RELEASES = ("1.85.",)


def choose_engine(environment: MutableMapping[str, str]) -> None:
    """Has to come before grpc is imported, which reads it then. What the environment says already, wins."""
    environment.setdefault(VERBOSITY_VARIABLE, ERRORS_ONLY)
    if version("grpcio").startswith(TESTED_RELEASES):
        environment.setdefault(VARIABLE, OLDER_ENGINE)
