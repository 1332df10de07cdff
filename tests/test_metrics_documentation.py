"""docs/operations.md tells of every metric what it means, and of no other."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from prometheus_client import Metric

import api_gateway.app
import api_gateway.settings
import fibonacci_service.app
import fibonacci_service.settings
import stats_service.app
import stats_service.settings
from service_kit.grpc_channel import open_channel
from service_kit.metrics import PATH
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, StreamFibRequest
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from service_kit.pb.stats.stats_pb2 import WatchStatsRequest
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from tests.scrapes import Scrape, Scraper, scraped
from tests.test_documentation import section

TABLE_HEAD = "| Metric | Kind | Labels | Told by | Meaning |\n| --- | --- | --- | --- | --- |\n"

OPERATIONS = "docs/operations.md"
#: Their values are ours; those of the others are of HTTP, of gRPC, of the contracts, or of the build.
OUR_LABELS = {"kind", "operation", "origin", "outcome", "reason", "state"}

#: By service, what it tells.
Told = dict[str, Scrape]


@pytest.fixture
async def told() -> Told:
    """After a call of each kind, so that every metric has a series with its labels."""
    async with _stats() as (stats_target, stats), _fibonacci(stats_target) as (fibonacci_target, fibonacci):
        async with open_channel(stats_target) as channel:
            watching = StatsStub(channel).WatchStats(WatchStatsRequest())
            await watching.read()
            watching.cancel()
        async with open_channel(fibonacci_target) as channel:
            async for _ in FibonacciStub(channel).StreamFib(StreamFibRequest(n=10, encoding=DECIMAL)):
                pass
        gateway = api_gateway.settings.Settings(
            listen_port=0, drain_delay_seconds=0, fibonacci_target=fibonacci_target, stats_target=stats_target
        )
        async with api_gateway.app.running(gateway) as port:
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
                for path in ("/fib?n=10", "/fib?n=5000", "/stats"):
                    assert (await client.get(path)).status_code == 200
            return {
                "api_gateway": await Scraper(f"{url}{PATH}")(),
                "fibonacci_service": await fibonacci(),
                "stats_service": await stats.until(
                    "rpc_server_stream_duration_seconds_count", 1, rpc_method="stats.Stats/WatchStats"
                ),
            }


@asynccontextmanager
async def _stats() -> AsyncIterator[tuple[str, Scraper]]:
    settings = stats_service.settings.Settings(listen_port=0, drain_delay_seconds=0, database_url="memory:")
    async with scraped(stats_service.app.running, settings) as (port, scraper):
        yield f"127.0.0.1:{port}", scraper


@asynccontextmanager
async def _fibonacci(stats_target: str) -> AsyncIterator[tuple[str, Scraper]]:
    settings = fibonacci_service.settings.Settings(listen_port=0, drain_delay_seconds=0, stats_target=stats_target)
    async with scraped(fibonacci_service.app.running, settings) as (port, scraper):
        yield f"127.0.0.1:{port}", scraper


def table(told: Told) -> str:
    """The table of docs/operations.md."""
    services: dict[str, list[str]] = {}
    rows: dict[str, tuple[str, ...]] = {}
    for service, scrape in told.items():
        for family in scrape.families:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in _label_names(family))
            row = (family.type, labels, family.documentation)
            assert rows.setdefault(name, row) == row, f"{service} tells something else of {name}"
            services.setdefault(name, []).append(service)
    lines = (
        f"| `{name}` | {kind} | {labels} | {', '.join(services[name])} | {meaning} |\n"
        for name, (kind, labels, meaning) in rows.items()
    )
    return TABLE_HEAD + "".join(lines)


def _label_names(family: Metric) -> list[str]:
    assert family.samples, f"nothing was told of {family.name}"
    return sorted({name for sample in family.samples for name in sample.labels} - {"le"})


def test_operations_lists_every_metric_with_its_meaning_and_no_other(told: Told) -> None:
    assert section(OPERATIONS, "### What is told") == table(told)


def test_operations_lists_every_value_of_a_label_that_is_our_own_and_no_other(told: Told) -> None:
    """Every one is told from the start, whether it happened or not."""
    values = {
        (sample.name.removesuffix("_count"), label, value)
        for scrape in told.values()
        for family in scrape.families
        for sample in family.samples
        for label, value in sample.labels.items()
        if label in OUR_LABELS and not sample.name.endswith(("_bucket", "_sum"))
    }
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| `(\w+)` \| .+ \|$", section(OPERATIONS, "### What the labels say"), re.MULTILINE
    )

    assert set(rows) == values
    assert len(rows) == len(values)


def test_no_metric_has_a_label_whose_values_a_client_chooses(told: Told) -> None:
    names = {name for scrape in told.values() for family in scrape.families for name in _label_names(family)}

    assert names == {
        "callee",
        "http_request_method",
        "http_response_status_code",
        "http_route",
        "kind",
        "operation",
        "origin",
        "outcome",
        "python_version",
        "reason",
        "rpc_method",
        "rpc_response_status_code",
        "service",
        "state",
        "version",
    }
