"""Which of its two I/O engines gRPC runs on: the older one hands a message to asyncio in two thirds of the time.

The newer one wakes a thread of its own for what a socket has, and that one wakes asyncio's.
"""

from collections.abc import MutableMapping
from importlib.metadata import version

VARIABLE = "GRPC_EXPERIMENTS"
OLDER_ENGINE = "-event_engine_client,-event_engine_listener"
#: The releases of grpcio of which this was measured and tested. Others keep their default: experiments come and go.
TESTED_RELEASES = ("1.85.",)


def choose_engine(environment: MutableMapping[str, str]) -> None:
    """Has to come before grpc is imported, which reads it then. What the environment says already, wins."""
    if version("grpcio").startswith(TESTED_RELEASES):
        environment.setdefault(VARIABLE, OLDER_ENGINE)
