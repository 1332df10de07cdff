"""`make run`: the three services under supervisor."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.local.certificates import make
from tests.system.certificates import client_context, settings_of

START_SECONDS = 20.0
#: What curl calls the files of a client.
CLIENT = (("cert", "pem"), ("key", "key"))


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different, and below those that the kernel gives to whoever asks for any."""
    ports: list[int] = []
    while len(ports) < count:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as trial:
            if port not in ports and trial.connect_ex(("127.0.0.1", port)) != 0:
                ports.append(port)
    return ports


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    # Those of the metrics too: chosen by the kernel, one could be another of these before that is listened on.
    stats, fibonacci, gateway, stats_metrics, fibonacci_metrics = free_ports(5)
    return {
        "PATH": os.environ["PATH"],
        "RUN_DIRECTORY": str(tmp_path),
        "STATS_DATABASE_URL": f"sqlite:///{tmp_path}/stats.sqlite3",
        "STATS_LISTEN_PORT": str(stats),
        "STATS_METRICS_PORT": str(stats_metrics),
        "FIBONACCI_LISTEN_PORT": str(fibonacci),
        "FIBONACCI_METRICS_PORT": str(fibonacci_metrics),
        "FIBONACCI_STATS_TARGET": f"localhost:{stats}",
        "GATEWAY_LISTEN_PORT": str(gateway),
        "GATEWAY_FIBONACCI_TARGET": f"localhost:{fibonacci}",
        "GATEWAY_STATS_TARGET": f"localhost:{stats}",
    }


@contextmanager
def running(settings: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:  # supervisor opens it again, and both write at its end
        run = subprocess.Popen(
            [sys.executable, "-m", "deploy.local.run"], env=settings, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield run
    finally:
        if run.poll() is None:
            run.send_signal(signal.SIGINT)
        run.wait(START_SECONDS)


def wait_for(text: str, log: Path) -> None:
    patience_ends = time.monotonic() + START_SECONDS
    while text not in log.read_text():
        assert time.monotonic() < patience_ends, f"{text!r} never came:\n{log.read_text()}"
        time.sleep(0.02)


def children(pid: int) -> dict[str, int]:
    """The services that a supervisor runs, by name."""
    listing = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=True)
    rows = (line.split() for line in listing.stdout.splitlines())
    return {row[-1]: int(row[0]) for row in rows if row[-1].endswith(("_service", "_gateway"))}


def test_it_says_what_to_try_restarts_what_dies_and_ends_everything(settings: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    url = f"http://localhost:{settings['GATEWAY_LISTEN_PORT']}"
    with running(settings, log) as run:
        wait_for("Ready. Try:", log)
        assert f"curl '{url.removeprefix('http://')}/fib?n=10'" in log.read_text()
        before = children(run.pid)

        os.kill(before["fibonacci_service"], signal.SIGKILL)

        assert httpx.get(f"{url}/fib?n=10", timeout=20).json()["x"] == 55
        after = children(run.pid)
        assert after.keys() == {"stats_service", "fibonacci_service", "api_gateway"}
        assert {name for name in after if after[name] != before[name]} == {"fibonacci_service"}

        stopping = time.monotonic()
        run.send_signal(signal.SIGINT)
        assert run.wait(START_SECONDS) == 0
        assert time.monotonic() - stopping < 10

    assert "Traceback" not in log.read_text()
    for service in ("stats_service", "fibonacci_service", "api_gateway"):
        assert f'"service":"{service}"' in log.read_text()
    assert all(not Path(f"/proc/{pid}").exists() for pid in after.values())


@pytest.mark.parametrize("setting", ["FIBONACCI_LISTEN_PORT", "STATS_METRICS_PORT"])
def test_a_port_in_use_is_one_line_that_names_the_port_and_the_setting(
    settings: dict[str, str], tmp_path: Path, setting: str
) -> None:
    log = tmp_path / "run.log"
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = str(holder.getsockname()[1])
        with running(settings | {setting: port}, log) as run:
            assert run.wait(START_SECONDS) == 1

    [line] = log.read_text().splitlines()
    assert f"port {port}" in line
    assert setting in line


def test_a_service_that_cannot_start_ends_it_with_a_line_that_says_which_and_why(
    settings: dict[str, str], tmp_path: Path
) -> None:
    log = tmp_path / "run.log"
    with running(settings | {"STATS_DATABASE_URL": "postgresql://user:secret@127.0.0.1:1/stats"}, log) as run:
        assert run.wait(START_SECONDS) == 1

    last = log.read_text().splitlines()[-1]
    why = "stats_service: STATS_DATABASE_URL: cannot use postgresql://user:...@127.0.0.1:1/stats: "
    assert last.startswith(f"stats_service cannot start, so nothing runs. It said: {why}")


def test_a_collector_that_is_none_is_one_line_that_names_the_variable(settings: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with running(settings | {"OTEL_EXPORTER_OTLP_ENDPOINT": "nonsense"}, log) as run:
        assert run.wait(START_SECONDS) == 1

    [line] = log.read_text().splitlines()
    assert line.startswith("stats_service: OTEL_EXPORTER_OTLP_ENDPOINT='nonsense': ")


def test_a_bad_setting_is_one_line_that_names_it(settings: dict[str, str], tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    with running(settings | {"GATEWAY_DEADLINE_SECONDS": "soon"}, log) as run:
        assert run.wait(START_SECONDS) == 2

    [line] = log.read_text().splitlines()
    assert line.startswith("api_gateway: GATEWAY_DEADLINE_SECONDS='soon'")


def test_with_certificates_for_development_every_hop_goes_by_tls(settings: dict[str, str], tmp_path: Path) -> None:
    log, certificates = tmp_path / "run.log", tmp_path / "certs"
    make(certificates)
    base = f"https://localhost:{settings['GATEWAY_LISTEN_PORT']}"
    with running(settings | settings_of(certificates), log):
        wait_for("Ready. Try:", log)
        with httpx.Client(base_url=base, verify=client_context(certificates), timeout=20) as client:
            assert client.get("/fib?n=10").json()["x"] == 55

    shown = next(line for line in log.read_text().splitlines() if "/fib?n=10'" in line and "curl" in line)
    files = [f"--cacert {certificates}/ca.pem", *(f"--{kind} {certificates}/client.{end}" for kind, end in CLIENT)]
    assert shown.strip() == f"curl {' '.join(files)} '{base}/fib?n=10'"


def test_a_bad_certificate_is_one_line_that_names_the_setting(settings: dict[str, str], tmp_path: Path) -> None:
    log, certificates = tmp_path / "run.log", tmp_path / "certs"
    make(certificates)
    (certificates / "ca.pem").write_text("no certificate")
    with running(settings | settings_of(certificates), log) as run:
        assert run.wait(START_SECONDS) == 1

    [line] = log.read_text().splitlines()
    assert line == f"stats_service: STATS_TLS_CLIENT_CA='{certificates}/ca.pem': holds no PEM certificate"
