"""Two gateways on one port beside one gateway, in turns: the kernel divides the connections between them."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.answers import MEASURED_INDEX
from bench.checks import check_account, check_bodies, open_client
from bench.figures import Figure, Part, Turn, ratios
from bench.load_client import Contender, LoadClient
from bench.plan import Plan
from bench.resources import process_cpu_seconds
from bench.system import new_process, new_system
from deploy.local.processes import ServiceProcess, System

CONNECTIONS = 64
ONE, TWO = "one gateway", "two gateways"


def measure_replicas(plan: Plan) -> Iterator[Part]:
    with (
        new_system() as system,
        _two_gateways(system) as pair,
        open_client() as http,
        tempfile.TemporaryDirectory() as folder,
    ):
        load_client = LoadClient(seconds=plan.seconds, folder=Path(folder))
        contenders = _contenders(system, pair)
        checked = sum((check_bodies(http, contender.url) for contender in contenders), Counter[int]())
        turns: dict[str, list[Turn]] = {contender.name: [] for contender in contenders}
        for _ in range(plan.rounds):
            for contender in contenders:
                turns[contender.name].append(load_client.measure(contender, CONNECTIONS))
        expected = sum(load_client.asked.values(), checked)
        check_account(http, system.url, expected)
        shares = [process_cpu_seconds(gateway.pid) for gateway in pair]
    yield Part(
        "replicas",
        f"GET /fib?n={MEASURED_INDEX} with one and with two gateways on a port, connections: {CONNECTIONS}",
        [
            *_figures(turns),
            Figure("processor time of the busier of the two, in times of the other's", [max(shares) / min(shares)]),
            Figure("requests that were sent and are counted", [expected.total()]),
        ],
    )


@contextmanager
def _two_gateways(system: System) -> Iterator[list[ServiceProcess]]:
    settings = {**system.gateway.settings, "GATEWAY_REUSE_PORT": "true"}
    with (
        new_process("api_gateway", {**settings, "GATEWAY_LISTEN_PORT": 0}) as first,
        new_process("api_gateway", {**settings, "GATEWAY_LISTEN_PORT": first.port}) as second,
    ):
        yield [first, second]


def _contenders(system: System, pair: list[ServiceProcess]) -> list[Contender]:
    behind = [system.stats, system.fibonacci]
    alone, many = [*behind, system.gateway], [*behind, *pair]
    return [
        Contender(name=ONE, port=system.gateway.port, indices=[MEASURED_INDEX], processes=alone),
        Contender(name=TWO, port=pair[0].port, indices=[MEASURED_INDEX], processes=many),
    ]


def _figures(turns: dict[str, list[Turn]]) -> Iterator[Figure]:
    rates = {name: [turn.load.requests_per_second for turn in of_rounds] for name, of_rounds in turns.items()}
    for name, samples in rates.items():
        yield Figure(f"requests/s, {name}", samples)
    yield Figure(f"ratio of rates, {TWO} / {ONE}", ratios(rates[TWO], rates[ONE]))
    for name, of_rounds in turns.items():
        yield Figure(f"p50 ms, {name}", [turn.load.p50_ms for turn in of_rounds])
        yield Figure(f"p99 ms, {name}", [turn.load.p99_ms for turn in of_rounds])
    for name, of_rounds in turns.items():
        for program in of_rounds[0].cpu_us:
            yield Figure(f"CPU us/request, {name}: {program}", [turn.cpu_us[program] for turn in of_rounds])
