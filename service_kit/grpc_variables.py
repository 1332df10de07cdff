"""What gRPC reads from the environment when it is loaded: its I/O engine, what it logs by itself, and no fork handlers.

The older of its two engines hands a message to asyncio in two thirds of the time: the newer one wakes a thread of its
own for what a socket has, and that one wakes asyncio's.
"""

from collections.abc import MutableMapping
from importlib.metadata import version

ENGINE_VARIABLE, OLDER_ENGINE = "GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener"
#: The releases of grpcio of which this was measured and tested. Others keep their default: experiments come and go.
TESTED_RELEASES = ("1.85.",)
#: By default gRPC also writes what it was told by a client that goes away, line feeds and all, among the log lines.
VERBOSITY_VARIABLE, ERRORS_ONLY = "GRPC_VERBOSITY", "ERROR"
#: Where a process forks, gRPC's handlers for that close what the parent still uses: without them a child that becomes
#: another program at once does no harm.
FORK_VARIABLE, NO_HANDLERS = "GRPC_ENABLE_FORK_SUPPORT", "0"


def set_grpc_variables(environment: MutableMapping[str, str]) -> None:
    """Has to come before grpc is imported. What the environment says already, wins."""
    environment.setdefault(VERBOSITY_VARIABLE, ERRORS_ONLY)
    environment.setdefault(FORK_VARIABLE, NO_HANDLERS)
    if version("grpcio").startswith(TESTED_RELEASES):
        environment.setdefault(ENGINE_VARIABLE, OLDER_ENGINE)
