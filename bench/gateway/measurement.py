"""One interleaved run: in every round each contender gets its load at each number of connections."""

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx

from bench.answers import EACH_INDEX, MEASURED_INDEX
from bench.ceilings import BARE_ASGI, EMPTY_RPC, MODEL_ROUTE, new_ceiling
from bench.checks import check_account, check_bodies, open_client
from bench.figures import Load, Part, Turn
from bench.gateway.turns import BARE, CYCLE, MODEL, ONE, OURS, gateway_parts
from bench.gateway.whole import whole_part
from bench.load_client import Contender, LoadClient
from bench.plan import Plan
from bench.resources import pss_bytes
from bench.rpc.calls import RpcClient
from bench.rpc.exchanges import UNARY
from bench.system import new_system
from deploy.local.processes import ServiceProcess, System


def measure_gateway(plan: Plan) -> Iterator[Part]:
    """Starts the services and the ceilings, measures, and ends them. Raises BenchmarkFailed."""
    with ExitStack() as stack:
        system = stack.enter_context(new_system())
        bare, model, empty = (stack.enter_context(new_ceiling(name)) for name in (BARE_ASGI, MODEL_ROUTE, EMPTY_RPC))
        run = _Run(
            plan,
            system=system,
            contenders=contenders(system, bare=bare, model=model),
            empty=empty,
            http=stack.enter_context(open_client()),
            rpc=stack.enter_context(RpcClient()),
            folder=Path(stack.enter_context(tempfile.TemporaryDirectory())),
        )
        yield from run.parts()


def contenders(system: System, *, bare: ServiceProcess, model: ServiceProcess) -> list[Contender]:
    services, port = system.services, system.gateway.port
    return [
        Contender(name=OURS, port=port, indices=[MEASURED_INDEX], processes=services),
        Contender(name=BARE, port=bare.port, indices=[MEASURED_INDEX], processes=[bare]),
        Contender(name=CYCLE, port=port, indices=EACH_INDEX, processes=services),
        Contender(name=MODEL, port=model.port, indices=[MEASURED_INDEX], processes=[model]),
    ]


class _Run:
    def __init__(
        self,
        plan: Plan,
        *,
        system: System,
        contenders: list[Contender],
        empty: ServiceProcess,
        http: httpx.Client,
        rpc: RpcClient,
        folder: Path,
    ) -> None:
        self._plan = plan
        self._system = system
        self._contenders = contenders
        self._empty = empty
        self._http = http
        self._rpc = rpc
        self._load_client = LoadClient(seconds=plan.seconds, folder=folder)
        self._turns: dict[int, dict[str, list[Turn]]] = {
            connections: {contender.name: [] for contender in contenders} for connections in plan.connections
        }
        self._round_trips: list[Load] = []
        self._pss_bytes: list[Mapping[str, int]] = []
        self._checked: Counter[int] = Counter()

    def parts(self) -> Iterator[Part]:
        self._check_bodies()
        for number in range(1, self._plan.rounds + 1):
            self._round()
            check_account(self._http, self._system.url, self._expected())
            print(f"bench: round {number} of {self._plan.rounds}", file=sys.stderr, flush=True)
        self._check_bodies()
        check_account(self._http, self._system.url, self._expected())
        yield from gateway_parts(self._turns, self._round_trips)
        yield whole_part(self._system, pss_bytes=self._pss_bytes, counted=self._expected().total())

    def _round(self) -> None:
        for connections in self._plan.connections:
            for contender in self._contenders:
                turn = self._load_client.measure(contender, connections)
                self._turns[connections][contender.name].append(turn)
            if connections == ONE:
                turn = self._rpc.measure(self._empty, UNARY, in_flight=1, seconds=self._plan.seconds)
                self._round_trips.append(turn.load)
            self._pss_bytes.append(pss_bytes(self._system.services))

    def _check_bodies(self) -> None:
        self._checked += check_bodies(self._http, self._system.url)
        for contender in self._contenders:
            if contender.port != self._system.gateway.port:
                check_bodies(self._http, contender.url, (MEASURED_INDEX,))

    def _expected(self) -> Counter[int]:
        asked = self._load_client.asked
        return self._checked + asked.get(OURS, Counter()) + asked.get(CYCLE, Counter())
