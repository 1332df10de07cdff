"""The three services measuring nothing, as they are by default, and with traces, each in its turn."""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import aims
from bench.answers import MEASURED_INDEX
from bench.checks import check_account, check_bodies, open_client
from bench.figures import Figure, Part, Turn, ratios
from bench.load_client import Contender, LoadClient
from bench.plan import Plan
from bench.system import new_process, new_system
from bench.telemetry.counting import counting_us

CONNECTIONS = 64
#: What is compared differs by less than one load does from the next.
TURNS_A_ROUND = 2
OFF, ON, TRACED = "telemetry off", "as by default", "one request in a hundred traced"
UNTOLD = "bench.telemetry.untold"
COLLECTOR = "bench.telemetry.collector"


def measure_telemetry(plan: Plan) -> Iterator[Part]:
    with ExitStack() as stack:
        collector = stack.enter_context(new_process(COLLECTOR, {"PORT_LISTEN_PORT": 0}))
        systems = {
            OFF: stack.enter_context(new_system(launcher=UNTOLD)),
            ON: stack.enter_context(new_system()),
            TRACED: stack.enter_context(new_system(_tracing(collector.port))),
        }
        http = stack.enter_context(open_client())
        load_client = LoadClient(seconds=plan.seconds, folder=Path(stack.enter_context(tempfile.TemporaryDirectory())))
        contenders = [
            Contender(name=name, port=system.gateway.port, indices=[MEASURED_INDEX], processes=system.services)
            for name, system in systems.items()
        ]
        checked = {name: check_bodies(http, system.url) for name, system in systems.items()}
        turns: dict[str, list[Turn]] = {name: [] for name in systems}
        for number in range(plan.rounds * TURNS_A_ROUND):
            # There and back, so that nobody always comes after the same one.
            for contender in contenders if number % 2 else reversed(contenders):
                turns[contender.name].append(load_client.measure(contender, CONNECTIONS))
        for name, system in systems.items():
            check_account(http, system.url, checked[name] + load_client.asked.get(name, Counter()))
    yield Part(
        "telemetry",
        f"GET /fib?n={MEASURED_INDEX} with metrics and traces and without, connections: {CONNECTIONS}",
        [*figures(turns), Figure("us to count one request, by itself", counting_us(repetitions=plan.rounds))],
    )


def figures(turns: Mapping[str, Sequence[Turn]]) -> Iterator[Figure]:
    """By contender, its turns; those of the same place are a pair."""
    cpu_us = {name: [sum(turn.cpu_us.values()) for turn in of_name] for name, of_name in turns.items()}
    for name, samples in cpu_us.items():
        yield Figure(f"CPU us/request of the three services, {name}", samples)
    yield Figure(f"ratio of CPU, {ON} / {OFF}", ratios(cpu_us[ON], cpu_us[OFF]), aims.DEFAULT_TELEMETRY)
    yield Figure(f"ratio of CPU, {TRACED} / {OFF}", ratios(cpu_us[TRACED], cpu_us[OFF]))
    for name, of_name in turns.items():
        yield Figure(f"requests/s, {name}", [turn.load.requests_per_second for turn in of_name])


def _tracing(collector_port: int) -> Mapping[str, object]:
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector_port}",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.01",
    }
