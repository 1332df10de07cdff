"""Two of each service over one PostgreSQL, and a balancer in front: the system as it runs past one machine."""

import asyncio
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from deploy.local.processes import ServiceProcess
from tests.system.account import next_record, read_recorder
from tests.system.conftest import LOG_BATCHES
from tests.system.envoy import Envoy, balancing

REPLICAS = 2
FOUND_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Replicas:
    """What is restarted comes back on its own port, so that every list of addresses stays right."""

    stats: Sequence[ServiceProcess]
    fibonacci: Sequence[ServiceProcess]
    gateways: Sequence[ServiceProcess]
    balancer: Envoy

    @property
    def url(self) -> str:
        return self.balancer.url

    async def restart(self, replica: ServiceProcess, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status, once the next life gets work; without a load it never does."""
        status = await asyncio.to_thread(replica.stop, how)
        await asyncio.to_thread(replica.start)
        match replica.program:
            case "stats_service":
                await next_record(replica)
            case "fibonacci_service":
                await answering(replica)
            case _:
                await asyncio.to_thread(self.balancer.wait_for_gateways, REPLICAS)
        return status


async def answering(fibonacci: ServiceProcess) -> None:
    """Returns once it has answered a number in this life."""
    async with asyncio.timeout(FOUND_SECONDS):
        while not (await read_recorder(fibonacci)).served:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.02)


@contextmanager
def running_replicas(database_url: str) -> Iterator[Replicas]:
    with ExitStack() as stack:
        stats = _started(stack, "stats_service", "STATS_", {"STATS_DATABASE_URL": database_url, **LOG_BATCHES})
        to_stats = target(stats)
        fibonacci = _started(stack, "fibonacci_service", "FIBONACCI_", {"FIBONACCI_STATS_TARGET": to_stats})
        targets = {"GATEWAY_FIBONACCI_TARGET": target(fibonacci), "GATEWAY_STATS_TARGET": to_stats}
        gateways = _started(stack, "api_gateway", "GATEWAY_", targets)
        balancer = stack.enter_context(balancing([gateway.port for gateway in gateways]))
        yield Replicas(stats=stats, fibonacci=fibonacci, gateways=gateways, balancer=balancer)


def target(replicas: Sequence[ServiceProcess]) -> str:
    """The gRPC target that lists their addresses."""
    return "ipv4:" + ",".join(f"{replica.host}:{replica.port}" for replica in replicas)


def _started(stack: ExitStack, program: str, prefix: str, own: Mapping[str, object]) -> list[ServiceProcess]:
    settings = {f"{prefix}LISTEN_PORT": 0, f"{prefix}LOG_FORMAT": "json", **own}
    replicas = [ServiceProcess(program, settings) for _ in range(REPLICAS)]
    for replica in replicas:
        stack.callback(end, replica)
        replica.start()
    return replicas


def end(replica: ServiceProcess) -> None:
    """Ends it, whatever state it is in."""
    if replica.was_started:
        replica.kill()
