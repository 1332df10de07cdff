"""Every query of the dashboard and of the rules, asked of a real Prometheus that scrapes the real system."""

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest

from deploy.local.processes import System
from tests.prometheus import ROOT, rules
from tests.system.prometheus import Prometheus, scraping
from tests.system.scraped import metrics_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "exact-fibonacci.json"
PATIENCE_SECONDS = 60.0
#: What Grafana makes of it at an interval of 15 s.
RATE_INTERVAL = "1m"
#: Some requests fail at the gateway, and some attempts behind it, which are made again.
FAULTS = {"GATEWAY_FAULT_ERROR_PROBABILITY": 0.1, "FIBONACCI_FAULT_ERROR_PROBABILITY": 0.1}
PATHS = (
    "/fib?n=10",
    "/fib?n=5000",
    "/fib?n=300000",
    "/fib?n=nonsense",
    "/fib/batch?n=1&n=2",
    "/fib/range?start=1&count=3",
    "/fib/residue?n=100&modulus=7",
    "/fib/describe?n=1000",
    "/stats",
    "/stats/10",
    "/stats/minutes",
    "/nowhere",
)
_SELECTOR = re.compile(r"[a-z_:0-9]+\{[^{}]*\}")


class Observed:
    """The system, and the Prometheus that scrapes it."""

    def __init__(self, system: System, prometheus: Prometheus) -> None:
        self._system = system
        self.prometheus = prometheus
        #: Numbers that are in no cache yet.
        self._new = count(2_000)

    def without_series(self, queries: Iterable[str]) -> list[str]:
        """Those that find nothing, however much traffic of each kind there is. Raises where one is no query."""
        missing = list(queries)
        patience_ends = time.monotonic() + PATIENCE_SECONDS
        while missing and time.monotonic() < patience_ends:
            self._send_traffic()
            missing = [query for query in missing if not self.prometheus.values(query)]
        return missing

    def _send_traffic(self) -> None:
        with httpx.Client(base_url=self._system.url, timeout=30) as client, ThreadPoolExecutor(8) as pool:
            list(pool.map(client.get, (*PATHS * 4, f"/fib?n={next(self._new)}")))
            client.get("/fib?n=9000000", headers={"X-Request-Timeout-Ms": "50"})
            with client.stream("GET", "/stats/stream") as events:
                next(events.iter_raw())


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    url = f"sqlite:///{tmp_path_factory.mktemp('account')}/stats.sqlite3"
    with System(database_url=url, settings=FAULTS) as system:
        ports = {service.program: metrics_port(system, service) for service in system.services}
        with scraping(ports) as prometheus:
            yield Observed(system, prometheus)


def selector(name: str, labels: Mapping[str, str]) -> str:
    matchers = ", ".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{matchers}}}"


def dashboard_queries() -> set[str]:
    """Of its panels and annotations."""
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    asking: list[dict[str, Any]] = [*targets, *dashboard["annotations"]["list"]]
    return {target["expr"].replace("$__rate_interval", RATE_INTERVAL).replace("$instance", ".*") for target in asking}


def test_every_query_of_the_dashboard_finds_series(observed: Observed) -> None:
    assert observed.without_series(dashboard_queries()) == []


def test_every_recording_rule_finds_series(observed: Observed) -> None:
    recorded = [selector(rule["record"], rule.get("labels", {})) for rule in rules("record")]

    assert observed.without_series(recorded) == []
    assert observed.prometheus.rule_faults() == {}


def test_whatever_a_rule_selects_is_told(observed: Observed) -> None:
    selected = {found for rule in rules("record") + rules("alert") for found in _SELECTOR.findall(rule["expr"])}

    assert observed.without_series(selected) == []
