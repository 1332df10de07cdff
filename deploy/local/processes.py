"""The services as child processes of this one, for tests and benchmarks: started, watched through their logs, ended."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

START_SECONDS = 20.0
#: So that any number of services can run at a time, with free ports for their metrics.
_ENVIRONMENT = {"PYTHONUNBUFFERED": "1", "STATS_METRICS_PORT": "0", "FIBONACCI_METRICS_PORT": "0"}
STOP_SECONDS = 15.0


class ServiceProcess:
    """One service, running as a person would start it. Its log lines are kept as the dictionaries that they are.

    `folder` is where it is started, and so where its code is looked for first; None is here. `command` is the module
    that is run, with its arguments.
    """

    def __init__(self, program: str, settings: Mapping[str, object]) -> None:
        self.program = program
        self.settings = {name: str(value) for name, value in settings.items()}
        self.lines: list[dict[str, Any]] = []
        self.host, self.port = "", 0
        self.folder: Path | None = None
        self.command: tuple[str, ...] = (program,)
        self._read = threading.Condition()
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def was_started(self) -> bool:
        return self._process is not None

    @property
    def process(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise RuntimeError(f"{self.program} was not started")
        return self._process

    def start(self) -> Self:
        """Starts the process and waits until it serves; a second start takes the same port again."""
        started_before = self.count("service.started")
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self.command],
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], **_ENVIRONMENT} | self.settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._reader = threading.Thread(target=self._keep_lines, args=(self._process,), daemon=True)
        self._reader.start()
        started = self.wait_for("service.started", after=started_before, seconds=START_SECONDS)
        self.host, self.port = str(started["host"]), int(started["port"])
        self.settings[next(name for name in self.settings if name.endswith("_LISTEN_PORT"))] = str(self.port)
        return self

    def count(self, event: str, **facts: object) -> int:
        return sum(_matches(line, event, facts) for line in list(self.lines))

    def wait_for(self, event: str, *, after: int = 0, seconds: float = 10.0, **facts: object) -> dict[str, Any]:
        """The line with that event and those facts that follows `after` others; waits for it to be written."""
        patience_ends = time.monotonic() + seconds
        with self._read:
            while True:
                # Asked before the lines are looked at, so that none follows them.
                ended = self.process.poll() is not None and not self._reader.is_alive()
                matching = [line for line in self.lines if _matches(line, event, facts)]
                if len(matching) > after:
                    return matching[after]
                left = patience_ends - time.monotonic()
                if left <= 0 or ended:
                    last = self.lines[-10:]
                    raise TimeoutError(f"{self.program} never logged {event} {facts}; its last lines: {last}")
                self._read.wait(min(left, 0.5))

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends the process and returns its exit status; one that does not end in time is killed and raises."""
        if self.process.poll() is None:
            self.send(number)
        try:
            return self.process.wait(STOP_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def _keep_lines(self, process: subprocess.Popen[str]) -> None:
        with process.stdout or contextlib.nullcontext(()) as output:
            for text in output:
                with self._read:
                    self.lines.append(_parsed(text))
                    self._read.notify_all()


class System:
    """All three services on free ports, wired to each other, with the account in one file.

    `settings` are environment variables for whichever service's prefix they carry; OpenTelemetry's are for each.
    """

    def __init__(self, *, database_url: str, settings: Mapping[str, object] | None = None) -> None:
        given = settings or {}
        self.stats = _service("stats_service", "STATS_", {"STATS_DATABASE_URL": database_url}, given)
        self.fibonacci = _service("fibonacci_service", "FIBONACCI_", {}, given)
        self.gateway = _service("api_gateway", "GATEWAY_", {}, given)

    @property
    def services(self) -> tuple[ServiceProcess, ...]:
        return self.stats, self.fibonacci, self.gateway

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway.port}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def start(self) -> None:
        self.stats.start()
        self.connect_fibonacci(self.stats.port)
        self.fibonacci.start()
        self.connect_gateway(fibonacci_port=self.fibonacci.port, stats_port=self.stats.port)
        self.gateway.start()

    def connect_fibonacci(self, stats_port: int) -> None:
        self.fibonacci.settings["FIBONACCI_STATS_TARGET"] = f"127.0.0.1:{stats_port}"

    def connect_gateway(self, *, fibonacci_port: int, stats_port: int) -> None:
        self.gateway.settings["GATEWAY_FIBONACCI_TARGET"] = f"127.0.0.1:{fibonacci_port}"
        self.gateway.settings["GATEWAY_STATS_TARGET"] = f"127.0.0.1:{stats_port}"

    def end(self) -> None:
        """Ends what still runs, whatever state it is in."""
        for service in reversed(self.services):
            if service.was_started:
                service.kill()


def _service(program: str, prefix: str, own: Mapping[str, object], given: Mapping[str, object]) -> ServiceProcess:
    defaults = {f"{prefix}LISTEN_PORT": 0, f"{prefix}LOG_FORMAT": "json", f"{prefix}DRAIN_DELAY_SECONDS": 0.05}
    chosen = {name: value for name, value in given.items() if name.startswith((prefix, "OTEL_"))}
    return ServiceProcess(program, {**defaults, **own, **chosen})


def _matches(line: Mapping[str, Any], event: str, facts: Mapping[str, object]) -> bool:
    return line.get("event") == event and all(line.get(name) == value for name, value in facts.items())


def _parsed(text: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {"text": text.rstrip("\n")}
