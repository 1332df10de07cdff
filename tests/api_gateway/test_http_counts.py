import asyncio
import json
from pathlib import Path

import pytest

from api_gateway.app import create_app, fibonacci_client, stats_client
from api_gateway.http_counts import HttpCounts, RouteTemplates, documented_templates
from api_gateway.settings import Settings
from service_kit.grpc_channel import open_channel
from service_kit.metrics import Metrics

OPENAPI = Path(__file__).parents[2] / "docs" / "openapi.json"

templates = RouteTemplates(["/fib", "/stats/{n}", "/stats/minutes"])


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/fib", "/fib"),
        ("/stats/10", "/stats/{n}"),
        ("/stats/anything at all", "/stats/{n}"),
        ("/stats/minutes", "/stats/minutes"),
        ("/stats", ""),
        ("/stats/", ""),
        ("/stats/10/", ""),
        ("/stats/10\n", "/stats/{n}"),
        ("/fib/10", ""),
        ("/stats/{n}/x", ""),
        ("", ""),
    ],
)
def test_a_path_is_told_by_the_template_that_it_was_made_from(path: str, template: str) -> None:
    assert templates.of(path) == template


async def test_the_templates_are_those_of_the_openapi_document() -> None:
    settings, metrics = Settings(), Metrics(service="api_gateway")
    async with open_channel(settings.fibonacci_target) as channel:
        fibonacci, stats = fibonacci_client(settings, channel), stats_client(settings, channel)
        app = create_app(fibonacci=fibonacci, stats=stats, metrics=metrics, draining=asyncio.Event())

    assert sorted(set(documented_templates(app))) == sorted(json.loads(OPENAPI.read_text(encoding="utf-8"))["paths"])


def test_what_is_kept_of_requests_is_as_little_as_there_are_routes() -> None:
    counts = HttpCounts(templates)
    for n in range(1_000):
        counts.served(method="GET", path=f"/stats/{n}", status=200, seconds=0.1)
        counts.served(method="GET", path=f"/other/{n}", status=404, seconds=0.1)
        counts.served(method=f"M{n}", path="/fib", status=405, seconds=0.1)
        counts.served(method="GET", path="/fib", status=200, seconds=0.1)

    assert {labels: sum(histogram.counts) for labels, histogram in counts.durations.items()} == {
        ("GET", "/stats/{n}", 200): 1_000,
        ("GET", "", 404): 1_000,
        ("_OTHER", "/fib", 405): 1_000,
        ("GET", "/fib", 200): 1_000,
    }
    assert list(counts._plain) == [("GET", "/fib", 200)]
