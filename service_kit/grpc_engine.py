"""Which of its two I/O engines gRPC runs on: the older one hands a message to asyncio in two thirds of the time."""

from collections.abc import MutableMapping

import grpc
import structlog

log = structlog.get_logger()

VARIABLE = "GRPC_EXPERIMENTS"
OLDER_ENGINE = "-event_engine_client,-event_engine_listener"
#: The releases of grpcio of which this was measured and tested. Others keep their default: experiments come and go.
TESTED_RELEASES = ("1.85.",)


def choose_engine(environment: MutableMapping[str, str]) -> None:
    """Has to come before the first channel or server. What the environment says already, wins."""
    if environment.get(VARIABLE) is not None:
        log.info("grpc.engine_chosen", experiments=environment[VARIABLE])
    elif grpc.__version__.startswith(TESTED_RELEASES):
        environment[VARIABLE] = OLDER_ENGINE
    else:
        log.warning("grpc.engine_default", release=grpc.__version__, tested=TESTED_RELEASES)
