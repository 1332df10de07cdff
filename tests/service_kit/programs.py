"""Small Python programs that run as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

#: Everything that a program here may need.
_PREAMBLE = """
import asyncio, contextlib, logging, os, signal, sys, time
import structlog
from pydantic_settings import SettingsConfigDict
from service_kit.lifecycle import CannotStart, run_service
from service_kit.logs import configure_logging
from service_kit.settings import ServiceSettings

class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")

def run(running):
    run_service(program="demo", settings_type=Settings, running=running,
                arguments=sys.argv[1:], environment=os.environ)

log = structlog.get_logger()
"""

#: A service that only says when it drains, and takes for ever where it is told to.
SERVICE = """
@contextlib.asynccontextmanager
async def running(settings):
    yield 12345
    log.info("demo.draining")
    if settings.drain_timeout_seconds == 600:
        await asyncio.Event().wait()

run(running)
"""

#: Starts what follows without any standard output.
WITHOUT_STDOUT = ("/bin/sh", "-c", 'exec "$0" "$@" >&-')


#: Starts what follows as nohup does.
WITHOUT_HANGUP = ("/bin/sh", "-c", 'trap "" HUP; exec "$0" "$@"')


def start(
    program: str,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    through: Sequence[str] = (),
    stdout: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*through, sys.executable, "-c", _PREAMBLE + program, *arguments],
        env={**os.environ, **(environment or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_with(event: str, process: subprocess.Popen[str]) -> str:
    """The next line of its output that holds the event; fails where the output ends before."""
    assert process.stdout is not None
    return next(line for line in process.stdout if event in line)


def finished(process: subprocess.Popen[str], *signals: signal.Signals) -> tuple[int, str, str]:
    """Sends the signals: the exit status, and what is left of both outputs."""
    try:
        for number in signals:
            process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    return process.returncode, output, errors
