import os
import subprocess
import sys

import pytest

from service_kit import grpc_variables
from service_kit.grpc_variables import (
    ENGINE_VARIABLE,
    ERRORS_ONLY,
    FORK_VARIABLE,
    NO_HANDLERS,
    OLDER_ENGINE,
    TESTED_RELEASES,
    VERBOSITY_VARIABLE,
    set_grpc_variables,
)

SET_FOR_ANY_RELEASE = {VERBOSITY_VARIABLE: ERRORS_ONLY, FORK_VARIABLE: NO_HANDLERS}

#: Says what the environment holds when gRPC is loaded, and loads a service as `python -m` does.
LOAD = """
import importlib, os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc":
            print(os.environ.get("GRPC_EXPERIMENTS"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
importlib.import_module(sys.argv[1])
"""


def test_the_older_engine_is_chosen_for_a_release_that_was_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_variables, "version", lambda _: f"{TESTED_RELEASES[0]}7")
    environment = {"PATH": "/bin"}
    set_grpc_variables(environment)
    assert environment == {"PATH": "/bin", ENGINE_VARIABLE: OLDER_ENGINE} | SET_FOR_ANY_RELEASE


def test_any_other_release_keeps_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_variables, "version", lambda _: "1.999.0")
    environment: dict[str, str] = {}
    set_grpc_variables(environment)
    assert environment == SET_FOR_ANY_RELEASE


@pytest.mark.parametrize("chosen", ["", "event_engine_client"])
def test_what_the_environment_says_stays(chosen: str) -> None:
    said = {ENGINE_VARIABLE: chosen, VERBOSITY_VARIABLE: "INFO", FORK_VARIABLE: "1"}
    environment = dict(said)
    set_grpc_variables(environment)
    assert environment == said


@pytest.mark.parametrize("program", ["api_gateway", "fibonacci_service", "stats_service"])
def test_a_service_has_chosen_before_grpc_is_loaded(program: str) -> None:
    environment = {name: text for name, text in os.environ.items() if name != ENGINE_VARIABLE}
    command = [sys.executable, "-c", LOAD, f"{program}.__main__"]
    assert subprocess.check_output(command, env=environment, text=True) == f"{OLDER_ENGINE}\n"


def test_grpc_knows_the_experiments_that_are_named() -> None:
    command = [sys.executable, "-c", "import grpc; grpc.insecure_channel('localhost:1').close()"]
    for chosen, complaints in ((OLDER_ENGINE, 0), ("-no_such_experiment", 1)):
        done = subprocess.run(
            command, env=os.environ | {ENGINE_VARIABLE: chosen}, capture_output=True, text=True, check=True
        )
        assert done.stderr.count("Unknown experiment") == complaints
