"""Services of two releases together: an upgrade under load, in the order that is documented and in the other."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.processes import System
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import GetResidueRequest
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.system.account import settled
from tests.system.conftest import LOG_BATCHES, Report
from tests.system.releases import REPOSITORY, code_of, git
from tests.system.watch import watched_load

pytestmark = pytest.mark.slow

#: What the contract of release 0.1 had not yet; the commit before the one that added it is the release.
FIRST_ADDITION = ("-S", "GetRecorder", "--", "proto/fibonacci/fib.proto")


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The code of release 0.1, from the history of this repository."""
    try:
        commit = git("log", "--reverse", "--format=%H", *FIRST_ADDITION).decode().split()[0]
        return code_of(f"{commit}^", tmp_path / "release")
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        pytest.fail(f"release 0.1 is taken from the git history of {REPOSITORY}, which does not have it: {error}")


@pytest.fixture
def old_system(release: Path, tmp_path: Path) -> Iterator[System]:
    """The three processes of the release, with an account of their own."""
    system = System(database_url=f"sqlite:///{tmp_path}/stats.sqlite3", settings=LOG_BATCHES)
    for service in system.services:
        service.folder = release
    with system:
        yield system


async def test_an_upgrade_of_stats_service_and_then_of_fibonacci_service_loses_and_doubles_nothing(
    old_system: System, report: Report
) -> None:
    system = old_system
    async with watched_load(system) as (sent, _):
        for service in (system.stats, system.fibonacci):
            await sent.answered(300)
            assert await asyncio.to_thread(service.stop) == 0
            service.folder = None
            await asyncio.to_thread(service.start)
        await sent.answered(300)
    account = await settled(system, sent)

    report(account)
    assert sent.statuses == {200: sent.sent}
    assert account.is_exact


async def test_a_new_fibonacci_service_loses_and_doubles_nothing_in_an_old_stats_service(
    old_system: System, report: Report
) -> None:
    system = old_system
    await asyncio.to_thread(system.fibonacci.stop)
    system.fibonacci.folder = None
    await asyncio.to_thread(system.fibonacci.start)
    async with watched_load(system) as (sent, _):
        await sent.answered(200)
        await ask_for_a_residue(system)  # what the old one does not know may not hold up what it knows
        await sent.answered(200)
    await ask_for_a_residue(system)
    account = await settled(system, sent)

    report(account)
    assert sent.statuses == {200: sent.sent}
    assert account.is_exact


async def ask_for_a_residue(system: System) -> None:
    async with open_channel(f"127.0.0.1:{system.fibonacci.port}") as channel:
        await FibonacciStub(channel).GetResidue(GetResidueRequest(n="10", modulus="7"), timeout=5, wait_for_ready=True)
