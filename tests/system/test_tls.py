"""The three real processes with the certificates and the settings of `make certs`: mTLS on every hop."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.certificates import make
from deploy.local.processes import System
from tests.system.certificates import client_context, settings_of
from tests.system.conftest import LOG_EVERYTHING


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    make(directory)
    return directory


@pytest.fixture
def secured(certificates: Path, tmp_path: Path) -> Iterator[System]:
    settings = {**LOG_EVERYTHING, **settings_of(certificates)}
    with System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=settings) as running:
        yield running


def probed(certificates: Path, url: str, *, shown: bool = True) -> tuple[int, str]:
    pair = ["--certificate", str(certificates / "client.pem"), "--key", str(certificates / "client.key")]
    command = [sys.executable, "-m", "service_kit.probe", url, "--ca", str(certificates / "ca.pem")]
    done = subprocess.run([*command, *(pair if shown else ())], capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stderr


def test_the_numbers_and_their_account_reach_a_client_with_a_certificate(secured: System, certificates: Path) -> None:
    url = secured.url.replace("http:", "https:")
    with httpx.Client(base_url=url, verify=client_context(certificates), timeout=30) as client:
        assert client.get("/fib?n=10").json()["x"] == 55
        secured.stats.wait_for("rpc.served", method="/stats.Stats/RecordNo")
        assert client.get("/stats").json()["total_requests"] == 1


def test_the_probe_of_each_service_goes_by_tls(secured: System, certificates: Path) -> None:
    urls = [
        f"grpcs://localhost:{secured.stats.port}",
        f"grpcs://localhost:{secured.fibonacci.port}",
        f"https://localhost:{secured.gateway.port}/readyz",
    ]
    assert [probed(certificates, url) for url in urls] == [(0, "")] * 3
    assert [probed(certificates, url, shown=False)[0] for url in urls] == [1] * 3


@pytest.mark.parametrize(
    ("program", "prefix"),
    [("stats_service", "STATS_"), ("fibonacci_service", "FIBONACCI_"), ("api_gateway", "GATEWAY_")],
)
def test_a_bad_file_ends_the_start_with_one_line_that_names_its_setting(
    certificates: Path, program: str, prefix: str
) -> None:
    settings = settings_of(certificates) | {f"{prefix}TLS_KEY": str(certificates / "client.key")}
    line = refused(program, settings | {f"{prefix}LISTEN_PORT": "0"}, status=1)

    key, certificate = certificates / "client.key", certificates / f"{program}.pem"
    assert line == f"{program}: {prefix}TLS_KEY='{key}': does not fit {prefix}TLS_CERTIFICATE='{certificate}'\n"


@pytest.mark.parametrize(("program", "prefix"), [("stats_service", "STATS_"), ("fibonacci_service", "FIBONACCI_")])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "db.example"])  # noqa: S104 - refused
def test_a_grpc_service_does_not_listen_in_public_without_tls(program: str, prefix: str, host: str) -> None:
    line = refused(program, {f"{prefix}LISTEN_HOST": host}, status=2)

    assert line.startswith(f"{program}: {prefix}PLAINTEXT='loopback': without TLS it does not listen on '{host}'")
    assert line.endswith(f"{prefix}PLAINTEXT=anywhere where only the services reach it\n")


def refused(program: str, settings: dict[str, str], *, status: int) -> str:
    """What a service that does not start says."""
    environment = {"PATH": os.environ["PATH"], **settings}
    done = subprocess.run(
        [sys.executable, "-m", program], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (status, "")
    return done.stderr
