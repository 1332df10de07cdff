"""What the running services tell Prometheus."""

import httpx

from deploy.local.processes import ServiceProcess, System
from service_kit.metrics import PATH
from tests.scrapes import Scrape


def metrics_port(system: System, service: ServiceProcess) -> int:
    """The gateway tells it where it is asked for numbers, the others on a port of its own."""
    return int(service.port if service is system.gateway else service.wait_for("metrics.started")["port"])


def scraped(system: System, service: ServiceProcess) -> Scrape:
    url = f"http://127.0.0.1:{metrics_port(system, service)}{PATH}"
    return Scrape(httpx.get(url, timeout=30).raise_for_status().text)
