"""The image and docker-compose.yml, on whatever Docker Engine `docker` finds; skipped where none answers."""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
SERVICES = ("api_gateway", "fibonacci_service", "stats_service")
OBSERVERS = ("grafana", "jaeger", "prometheus")
START_SECONDS = 120
VERSION = ["docker", "compose", "version"]

# Asked from inside a container: where published ports appear depends on the engine.
ASK = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen("http://localhost:3002" + sys.argv[1], timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode())
"""
DESCRIBE_PROCESS_1 = """
import json, os, pathlib
lines = pathlib.Path("/proc/1/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
try:
    pathlib.Path("/written").touch()
except OSError as error:
    refusal = error.strerror
else:
    refusal = None
command = pathlib.Path("/proc/1/cmdline").read_text().split(chr(0))
print(json.dumps({"command": command, "user": os.getuid(), "refusal": refusal} | status))
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Composed:
    """One project of docker-compose.yml with a name, images and a volume of its own."""

    def __init__(self) -> None:
        self.project = f"test-{uuid.uuid4().hex[:12]}"
        prefixes = ("STATS_", "FIBONACCI_", "GATEWAY_", "COMPOSE_")
        chosen = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
        self.environment = chosen | {"PUBLISHED_PORT": "0"}

    def compose(self, *arguments: str) -> str:
        """Runs docker compose, not reading a developer's .env, and returns what it printed."""
        options = ("--project-name", self.project, "--env-file", os.devnull)
        done = subprocess.run(
            ["docker", "compose", *options, *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"docker compose {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *options: str) -> None:
        try:
            self.compose("up", "--wait", "--wait-timeout", str(START_SECONDS), *options)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.compose('logs', '--timestamps')}") from None

    def end(self) -> None:
        self.compose("down", "--volumes", "--rmi", "local", "--remove-orphans")

    def run_python(self, service: str, code: str, *arguments: str) -> str:
        return self.compose("exec", "-T", service, "python", "-c", code, *arguments)

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the JSON of an answer of the gateway."""
        status, _, body = self.run_python("api_gateway", ASK, path).partition(" ")
        return int(status), json.loads(body)

    def total(self) -> int:
        """The total of GET /stats; -1 while stats_service cannot be asked."""
        status, body = self.get("/stats")
        return int(body["total_requests"]) if status == 200 else -1

    def settled_total(self, expected: int) -> int:
        """The total once it is what is expected, or after a while; read again later, to see what is counted twice."""
        patience_ends = time.monotonic() + 15
        while self.total() != expected and time.monotonic() < patience_ends:
            time.sleep(0.1)
        time.sleep(0.5)
        return self.total()

    def exit_codes(self) -> dict[str, int]:
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {container["Service"]: container["ExitCode"] for container in map(json.loads, lines)}


def fault_of(*commands: list[str]) -> str | None:
    """Why Docker cannot be used for what these show, or None."""
    if shutil.which("docker") is None:
        return "no docker on PATH"
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
            return f"`{' '.join(command)}` failed: {reason[0]}"
    return None


@pytest.fixture(scope="module")
def composed() -> Iterator[Composed]:
    """The built and healthy system. A test leaves it running."""
    fault = fault_of(["docker", "info"], VERSION)
    if fault is not None:
        pytest.skip(f"NOT TESTED: the image and docker-compose.yml need a Docker Engine with Compose; {fault}")
    system = Composed()
    try:
        system.start("--build")
        yield system
    finally:
        system.end()


def test_compose_accepts_the_observers_and_only_with_their_profile() -> None:
    fault = fault_of(VERSION)
    if fault is not None:
        pytest.skip(f"NOT TESTED: whether Compose accepts docker-compose.yml; {fault}")
    config = ("config", "--services")

    assert sorted(Composed().compose(*config).split()) == sorted(SERVICES)
    assert sorted(Composed().compose("--profile", "observability", *config).split()) == sorted(SERVICES + OBSERVERS)


def test_the_number_and_its_account_reach_the_user(composed: Composed) -> None:
    before = composed.total()

    assert composed.get("/fib?n=10") == (200, {"n": 10, "x": 55, "value": "55"})

    assert composed.settled_total(before + 1) == before + 1


@pytest.mark.parametrize("service", SERVICES)
def test_the_service_is_process_1_with_no_rights_on_a_read_only_root(composed: Composed, service: str) -> None:
    process = json.loads(composed.run_python(service, DESCRIBE_PROCESS_1))

    assert process["command"][:3] == ["python", "-m", service]
    assert process["user"] == 10001
    assert process["refusal"] == "Read-only file system"
    assert int(process["CapBnd"], 16) == 0
    assert process["NoNewPrivs"] == "1"


def test_only_the_gateway_is_published_and_to_this_machine_alone(composed: Composed) -> None:
    lines = composed.compose("ps", "--format", "json").splitlines()
    published = {
        (container["Service"], port["URL"], port["TargetPort"])
        for container in map(json.loads, lines)
        for port in container["Publishers"]
        if port["PublishedPort"]
    }
    assert published == {("api_gateway", "127.0.0.1", 3002)}


def test_stats_service_stopped_costs_no_answer_and_no_record(composed: Composed) -> None:
    before = composed.total()
    composed.compose("stop", "stats_service")

    answers = [composed.get(f"/fib?n={n}") for n in (7, 8, 9)]
    away = composed.total()
    composed.compose("start", "stats_service")

    assert [(status, body["x"]) for status, body in answers] == [(200, 13), (200, 21), (200, 34)]
    assert away == -1
    assert composed.settled_total(before + 3) == before + 3


def test_every_service_ends_well_when_it_is_stopped(composed: Composed) -> None:
    composed.compose("stop")

    codes = composed.exit_codes()
    composed.start()

    assert codes == dict.fromkeys(SERVICES, 0)


def test_the_account_outlives_the_containers(composed: Composed) -> None:
    before = composed.total()
    composed.get("/fib?n=10")
    assert composed.settled_total(before + 1) == before + 1

    composed.compose("down")
    composed.start()

    assert composed.total() == before + 1
