import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.grpc_channel import open_channel
from service_kit.lifecycle import CannotStart
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from stats_service.store_sql import open_sqlite
from stats_service.summary import Batch, NumberTotals
from tests.stats_service.conftest import settings_of

if TYPE_CHECKING:
    from stats_service.settings import Settings

BATCH = stats_pb2.RecordRequest(source="life-1", sequence=7, records=[stats_pb2.NumberRecord(n=10, count=3)])


async def record_and_count(settings: "Settings") -> tuple[bool, int]:
    """Sends one batch in one life of the service: whether it was a duplicate, and the total after it."""
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = StatsStub(channel)
        duplicate = (await stub.RecordNo(BATCH)).duplicate
        return duplicate, (await stub.GetStats(Empty())).total_requests


def corrupt(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1_000)


async def test_a_file_keeps_the_account_and_its_sources_over_a_restart(tmp_path: Path) -> None:
    settings = settings_of(database_url=f"sqlite:///{tmp_path}/stats.sqlite3")

    assert [await record_and_count(settings) for _ in range(2)] == [(False, 3), (True, 3)]


async def test_memory_forgets_the_account_with_the_process() -> None:
    assert [await record_and_count(settings_of()) for _ in range(2)] == [(False, 3), (False, 3)]


async def test_a_file_that_cannot_be_used_keeps_it_from_starting(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    corrupt(path)

    with pytest.raises(CannotStart, match="STATS_DATABASE_URL"):
        async with running(settings_of(database_url=f"sqlite:///{path}")):
            pass


@pytest.mark.parametrize(("silent_seconds", "remembered"), [(80_000, True), (90_000, False)])
async def test_it_starts_by_forgetting_the_sources_that_were_silent_too_long(
    tmp_path: Path, silent_seconds: float, *, remembered: bool
) -> None:
    path = tmp_path / "stats.sqlite3"
    async with open_sqlite(path, clock=lambda: time.time() - silent_seconds) as store:
        await store.record(Batch((NumberTotals(10, 3, 0, 0, 0, 0),), source="life-1", sequence=7))
    settings = settings_of(database_url=f"sqlite:///{path}", source_retention_seconds=86_400)

    duplicate, _ = await record_and_count(settings)

    assert duplicate is remembered


async def test_health_answers_for_the_server_and_for_the_service_by_its_full_name() -> None:
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "stats.Stats"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
