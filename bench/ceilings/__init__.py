"""What ours is measured beside: small servers that do less, each a process of its own."""

from contextlib import AbstractContextManager

from bench.system import new_process
from deploy.local.processes import ServiceProcess

BARE_ASGI = "bench.ceilings.bare_asgi"
MODEL_ROUTE = "bench.ceilings.model_route"
EMPTY_RPC = "bench.ceilings.empty_rpc"


def new_ceiling(program: str) -> AbstractContextManager[ServiceProcess]:
    """The ceiling on a free port, with the gateway's default settings as far as it has any."""
    return new_process(program, {"GATEWAY_LISTEN_PORT": 0, "GATEWAY_LOG_FORMAT": "json"})
