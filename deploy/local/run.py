"""Starts the three services under supervisor, once it is sure that they can start."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

from supervisor import events
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisord import Supervisor

import api_gateway.settings
import fibonacci_service.settings
import stats_service.settings
from deploy.local.announce import READY
from service_kit.lifecycle import CannotStart, bind_metrics_socket, bind_socket
from service_kit.settings import GrpcServiceSettings, ServiceSettings, load_settings
from service_kit.tls import check_tls
from service_kit.tracing import check_tracing

SERVICES: dict[str, type[ServiceSettings]] = {
    "stats_service": stats_service.settings.Settings,
    "fibonacci_service": fibonacci_service.settings.Settings,
    "api_gateway": api_gateway.settings.Settings,
}
#: The program that says what to try when all services have answered.
ANNOUNCE = "announce"
CONFIGURATION = Path(__file__).with_name("supervisord.conf")
#: supervisor looks for signals and ended children once a second; stopping three services in order would take four.
LOOK_SECONDS = 0.1


class PromptOptions(ServerOptions):  # type: ignore[misc]
    """supervisor's options, with a poller that looks more often."""

    def __init__(self) -> None:
        super().__init__()
        poll = self.poller.poll

        def poll_briefly(timeout: float) -> Any:
            return poll(min(timeout, LOOK_SECONDS))

        self.poller.poll = poll_briefly


class Run(Supervisor):  # type: ignore[misc]
    """Ends everything where a service ends by itself before all are ready, or later cannot be started again.

    Supervisor alone would try again and again, or give up without a word.
    """

    def __init__(self, options: PromptOptions) -> None:
        super().__init__(options)
        self.failure = ""
        self._ready = False
        self._last_lines: dict[str, str] = {}

    def runforever(self) -> None:
        events.subscribe(events.ProcessLogStdoutEvent, self._said)
        events.subscribe(events.ProcessStateExitedEvent, self._ended)
        events.subscribe(events.ProcessStateBackoffEvent, self._ended)
        events.subscribe(events.ProcessStateFatalEvent, self._given_up)
        super().runforever()

    def _said(self, event: Any) -> None:
        name = event.process.config.name
        said = self._last_lines.get(name, "") + event.data.decode(errors="replace")
        self._ready = self._ready or (name == ANNOUNCE and READY in said)
        self._last_lines[name] = last_line(said)

    def _ended(self, event: Any) -> None:
        if event.process.config.name in SERVICES and not self._ready:
            self._given_up(event)

    def _given_up(self, event: Any) -> None:
        name = event.process.config.name
        self.failure = (
            self.failure or f"{name} cannot start, so nothing runs. It said: {self._last_lines.get(name, '').strip()}"
        )
        self.options.mood = SupervisorStates.SHUTDOWN


def last_line(said: str) -> str:
    """The last line that is not empty, with its end if that has come: output comes in pieces of any size."""
    return said[said.rstrip("\n").rfind("\n") + 1 :]


def check() -> None:
    """Exits with one line when a setting or a file is bad or a port is taken; supervisor would try again and again."""
    with contextlib.ExitStack() as listeners:
        for program, settings_type in SERVICES.items():
            settings = load_settings(settings_type, program=program, arguments=[])
            try:
                # Held until all are checked, so that two services on one port are noticed.
                listeners.enter_context(bind_socket(settings))
                if isinstance(settings, GrpcServiceSettings):
                    listeners.enter_context(bind_metrics_socket(settings))
                check_tls(settings)
                check_tracing(os.environ)
            except CannotStart as error:
                print(f"{program}: {error}", file=sys.stderr)
                raise SystemExit(1) from None


def defaults() -> dict[str, str]:
    """What suits a developer's machine: every request has its line, and nothing waits before it drains."""
    chosen = {"RUN_PYTHON": sys.executable, "RUN_DIRECTORY": ".cache"}
    for settings_type in SERVICES.values():
        prefix = settings_type.prefix()
        chosen[f"{prefix}LOG_REQUESTS"] = "all"
        chosen[f"{prefix}DRAIN_DELAY_SECONDS"] = "0"
        if sys.stdout.isatty():
            chosen |= {f"{prefix}LOG_FORMAT": "console", "FORCE_COLOR": "1"}
    return chosen | targets()


def targets() -> dict[str, str]:
    """Where the services find each other: at the ports that they are told to listen on."""
    fibonacci = load_settings(fibonacci_service.settings.Settings, program="fibonacci_service", arguments=[])
    stats = load_settings(stats_service.settings.Settings, program="stats_service", arguments=[])
    return {
        "FIBONACCI_STATS_TARGET": f"localhost:{stats.listen_port}",
        "GATEWAY_FIBONACCI_TARGET": f"localhost:{fibonacci.listen_port}",
        "GATEWAY_STATS_TARGET": f"localhost:{stats.listen_port}",
    }


def main() -> None:
    check()
    for name, value in defaults().items():
        os.environ.setdefault(name, value)
    Path(os.environ["RUN_DIRECTORY"]).mkdir(exist_ok=True)
    options = PromptOptions()
    options.realize(["--configuration", str(CONFIGURATION), "--user", str(os.getuid())], doc=__doc__)
    options.first, options.test = True, False
    run = Run(options)
    with contextlib.suppress(asyncore.ExitNow):
        run.main()
    sys.exit(run.failure or 0)


if __name__ == "__main__":
    main()
