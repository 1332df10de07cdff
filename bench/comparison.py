"""One interleaved run: ours, the ceiling, ours, the ceiling, and so on, on processes of its own."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.ceiling import MEASURED_INDEX, ceiling_process
from bench.checks import check_bodies, check_total, open_client
from bench.figures import Load, Pair, Result
from bench.h2load import send_load
from bench.resources import cpu_seconds, pss_bytes, start_seconds
from deploy.local.processes import ServiceProcess, System


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is sent. `requests` is for each half of each pair; `timeout_seconds` for each run of the client."""

    connections: int
    pairs: int
    requests: int
    timeout_seconds: float

    @property
    def warm_up(self) -> int:
        return max(self.connections, self.requests // 10)


def compare(plan: Plan) -> Result:
    """Starts the three services and the ceiling, measures, and ends them. Raises BenchmarkFailed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        System(database_url=f"sqlite:///{folder}/stats.sqlite3") as system,
        ceiling_process() as ceiling,
        open_client() as client,
    ):
        return Comparison(plan, system=system, ceiling=ceiling, client=client, folder=Path(folder)).run()


class Comparison:
    def __init__(
        self, plan: Plan, *, system: System, ceiling: ServiceProcess, client: httpx.Client, folder: Path
    ) -> None:
        self._plan = plan
        self._system = system
        self._ceiling = ceiling
        self._client = client
        self._folder = folder
        self._sent = 0

    def run(self) -> Result:
        services = self._system.services
        at_rest = pss_bytes(services)
        self._check_bodies()
        self._load_ours(self._plan.warm_up)
        self._load_ceiling(self._plan.warm_up)
        pairs = [self._pair(number) for number in range(1, self._plan.pairs + 1)]
        self._check_bodies()
        check_total(self._client, self._system.url, expected=self._sent)
        return Result(
            connections=self._plan.connections,
            pairs=pairs,
            counted=self._sent,
            start_seconds={service.program: start_seconds(service) for service in services},
            pss_at_rest_bytes=at_rest,
            pss_after_load_bytes=pss_bytes(services),
        )

    def _pair(self, number: int) -> Pair:
        processes = (*self._system.services, self._ceiling)
        before = cpu_seconds(processes)
        pair = Pair(
            ours=self._load_ours(self._plan.requests),
            ceiling=self._load_ceiling(self._plan.requests),
            cpu_us={
                program: round((seconds - before[program]) * 1_000_000 / self._plan.requests, 1)
                for program, seconds in cpu_seconds(processes).items()
            },
        )
        progress = f"connections: {self._plan.connections}, pair {number} of {self._plan.pairs}: ratio {pair.ratio:.3f}"
        print(progress, file=sys.stderr, flush=True)
        return pair

    def _load_ours(self, requests: int) -> Load:
        self._sent += requests
        return self._send(self._system.url, requests)

    def _load_ceiling(self, requests: int) -> Load:
        return self._send(self._ceiling_url, requests)

    def _send(self, url: str, requests: int) -> Load:
        return send_load(
            f"{url}/fib?n={MEASURED_INDEX}",
            requests=requests,
            connections=self._plan.connections,
            timeout_seconds=self._plan.timeout_seconds,
            folder=self._folder,
        )

    def _check_bodies(self) -> None:
        self._sent += check_bodies(self._client, self._system.url)
        check_bodies(self._client, self._ceiling_url, (MEASURED_INDEX,))

    @property
    def _ceiling_url(self) -> str:
        return f"http://127.0.0.1:{self._ceiling.port}"
