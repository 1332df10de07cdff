"""What a service tells Prometheus, as Prometheus reads it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from service_kit.metrics import PATH


class Scrape:
    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples with those labels, whatever others they have; 0 where there is none."""
        return sum(
            sample.value for sample in self.samples if sample.name == name and labels.items() <= sample.labels.items()
        )

    @property
    def series(self) -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {(sample.name, frozenset(sample.labels.items())) for sample in self.samples}


class Scraper:
    """Asks one address for metrics."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def __call__(self) -> Scrape:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            response = await client.get(self.url)
        assert response.status_code == 200
        return Scrape(response.text)

    async def until(self, name: str, value: float, **labels: str) -> Scrape:
        """The first scrape in which it has that value."""
        async with asyncio.timeout(20):
            while (scrape := await self()).value(name, **labels) != value:
                pass
            return scrape

    async def until_above(self, name: str, value: float, **labels: str) -> Scrape:
        """The first scrape in which it is more than that: for what goes on growing, and may pass over a value."""
        async with asyncio.timeout(20):
            while (scrape := await self()).value(name, **labels) <= value:
                pass
            return scrape


def scraper_of(client: httpx.AsyncClient) -> Scraper:
    """Of the gateway that the client is connected to."""
    return Scraper(f"{client.base_url}{PATH}")


@asynccontextmanager
async def scraped(
    running: Callable[[Any], AbstractAsyncContextManager[int]], settings: Any
) -> AsyncIterator[tuple[int, Scraper]]:
    """Runs a gRPC service, and yields its port and a scraper of the other one."""
    with capture_logs() as lines:
        async with running(settings) as port:
            [started] = [line for line in lines if line["event"] == "metrics.started"]
            yield port, Scraper(f"http://{started['host']}:{started['port']}{PATH}")
