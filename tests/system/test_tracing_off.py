"""What tracing does to a service that has no collector, or none that answers."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from deploy.local.processes import System
from service_kit.tracing import FLUSH_SECONDS
from tests.otlp import Collector

SERVICES = ["api_gateway", "fibonacci_service", "stats_service"]
SOON = {"OTEL_BSP_SCHEDULE_DELAY": "20"}
#: FastAPI itself loads OpenTelemetry's API, which does nothing without the rest.
EXPORTING = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "service_kit.trace_export")


def loaded(service: str, settings: dict[str, str]) -> set[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "GATEWAY_LISTEN_PORT": "0",
        "FIBONACCI_LISTEN_PORT": "0",
        "STATS_LISTEN_PORT": "0",
        "FIBONACCI_METRICS_PORT": "0",
        "STATS_METRICS_PORT": "0",
        "STATS_DATABASE_URL": "memory:",
        "FIBONACCI_DRAIN_DELAY_SECONDS": "0",
        "STATS_DRAIN_DELAY_SECONDS": "0",
        "GATEWAY_DRAIN_DELAY_SECONDS": "0",
        **settings,
    }
    arguments = [sys.executable, "-m", "tests.system.loaded_modules", service]
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=True)
    assert "Traceback" not in finished.stderr
    [modules] = (line.split()[1:] for line in finished.stdout.splitlines() if line.startswith("loaded "))
    return set(modules)


@pytest.mark.parametrize("service", SERVICES)
def test_a_running_service_without_a_collector_has_loaded_nothing_that_exports(service: str) -> None:
    assert [module for module in loaded(service, {}) if module.startswith(EXPORTING)] == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_running_service_with_a_collector_has_loaded_it(service: str) -> None:
    with Collector() as collector:
        assert loaded(service, collector.settings).issuperset(("opentelemetry.sdk.trace", "service_kit.trace_export"))


#: What a cluster may say for all pods, and means nothing here.
IGNORED = {"OTEL_PROPAGATORS": "b3,tracecontext", "OTEL_PYTHON_CONTEXT": "gevent_context"}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("is_on", [False, True], ids=["off", "on"])
def test_what_a_cluster_says_of_contexts_for_all_pods_is_ignored(service: str, *, is_on: bool) -> None:
    with Collector() as collector:
        modules = loaded(service, {**IGNORED, **(collector.settings if is_on else {})})

    assert ("service_kit.trace_export" in modules) is is_on


def test_a_tool_that_loads_the_gateway_ignores_it_too() -> None:
    environment = {"PATH": os.environ["PATH"], **IGNORED}
    arguments = [sys.executable, "-m", "api_gateway.openapi"]
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_collector_that_is_not_there_harms_nothing_and_is_logged_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_TIMEOUT": "1", **SOON}
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
        httpx.get(f"{system.url}/fib?n=10").raise_for_status()
        told = system.gateway.wait_for("traces.unreachable")
        assert told["endpoint"] == settings["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert "StatusCode.UNAVAILABLE" in told["error"]
        collector = Collector()
        for n in range(20):
            assert httpx.get(f"{system.url}/fib?n={n}").status_code == 200
        collector.port = port
        with collector:
            # A span that meets the pause before the next attempt to connect is lost.
            while "api_gateway" not in {span.service for span in collector.spans}:
                httpx.get(f"{system.url}/fib?n=10").raise_for_status()
            assert system.gateway.wait_for("traces.reachable")["lost_spans"] > 0

        # A span that is sent after the collector's end begins another outage.
        events = [line["event"] for line in system.gateway.lines if "event" in line]
        assert events[: events.index("traces.reachable")].count("traces.unreachable") == 1
        assert [service.stop() for service in reversed(system.services)] == [0, 0, 0]
        assert not any("text" in line for service in system.services for line in service.lines)


def test_a_collector_that_never_answers_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}", **SOON}
        with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
            httpx.get(f"{system.url}/fib?n=10").raise_for_status()
            began = time.monotonic()

            assert system.fibonacci.stop() == 0

            assert time.monotonic() - began < FLUSH_SECONDS + 2
            assert system.fibonacci.count("traces.not_flushed") == 1


def test_the_last_spans_are_sent_when_a_service_stops(tmp_path: Path) -> None:
    with Collector() as collector:
        settings = {**collector.settings, "OTEL_BSP_SCHEDULE_DELAY": "600000", "FIBONACCI_STATS_INTERVAL_SECONDS": 60}
        with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as system:
            httpx.get(f"{system.url}/fib?n=10").raise_for_status()
            assert collector.spans == []

            assert [service.stop() for service in reversed(system.services)] == [0, 0, 0]

            # Also the one of the record, which is sent in the drain.
            assert {span.name for span in collector.spans if span.service == "fibonacci_service"} == {
                "fibonacci.Fibonacci/ExchangeFib",
                "record",
                "stats.Stats/RecordNo",
            }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nope.pem"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "abc"),
        ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_RETRYABLE_ERROR_CODES", "SOMETIMES"),
    ],
)
def test_a_variable_that_makes_no_sense_ends_the_start_with_one_line_that_names_it(name: str, value: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "STATS_LISTEN_PORT": "0",
        "STATS_DATABASE_URL": "memory:",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://127.0.0.1:1",
        name: value,
    }
    arguments = [sys.executable, "-m", "stats_service"]
    finished = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    assert finished.returncode == 1
    [line] = finished.stderr.splitlines()
    assert line.startswith("stats_service: ")
    assert (value if "PYTHON" in name else name) in line  # of what is the SDK's alone it says what the SDK says
