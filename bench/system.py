"""New processes for a part of the benchmark, and what they said where it failed."""

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bench.errors import BenchmarkFailed
from deploy.local.processes import ServiceProcess, System

_LAST_LINES = 5


@contextmanager
def new_system(
    settings: Mapping[str, object] | None = None, *, database_url: str | None = None, launcher: str = ""
) -> Iterator[System]:
    """The three services with default settings, the account in a file of its own unless said otherwise.

    A `launcher` is a module that is run in their place, and told which one it is to run.
    """
    with tempfile.TemporaryDirectory() as folder:
        system = System(database_url=database_url or f"sqlite:///{folder}/stats.sqlite3", settings=settings)
        for service in system.services if launcher else ():
            service.command = (launcher, service.program)
        try:
            with system:
                yield system
        except BenchmarkFailed:
            _tell_errors(system)
            raise


@contextmanager
def new_process(program: str, settings: Mapping[str, object]) -> Iterator[ServiceProcess]:
    """One more process on its own, ended when it is left."""
    process = ServiceProcess(program, settings)
    try:
        yield process.start()
    finally:
        if process.was_started:
            process.kill()


def _tell_errors(system: System) -> None:
    """The last lines of each service that are errors, or that are not its own log at all."""
    for service in system.services:
        errors = [line for line in service.lines if line.get("level") == "error" or "event" not in line]
        for line in errors[-_LAST_LINES:]:
            told = {name: fact for name, fact in line.items() if name != "exception"}
            print(f"bench: {service.program}: {told}", file=sys.stderr)
