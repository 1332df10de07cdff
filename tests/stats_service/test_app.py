import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import structlog
from google.protobuf.empty_pb2 import Empty
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_kit.grpc_channel import open_channel
from service_kit.lifecycle import CannotStart
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.app import running
from tests.refusal import refusal_of
from tests.stats_service.accounts import Clock, answers, batch, opened, record_numbers
from tests.stats_service.conftest import settings_of
from tests.stats_service.sqlite_files import connected

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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_database_keeps_the_account_and_its_sources_over_a_restart(
    tmp_path: Path, emptied_database: str, kind: str
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/stats.sqlite3", "postgresql": emptied_database}[kind]
    settings = settings_of(database_url=url)

    assert [await record_and_count(settings) for _ in range(2)] == [(False, 3), (True, 3)]


async def test_memory_forgets_the_account_with_the_process() -> None:
    assert [await record_and_count(settings_of()) for _ in range(2)] == [(False, 3), (False, 3)]


async def test_a_server_that_cannot_be_reached_keeps_it_from_starting() -> None:
    with pytest.raises(CannotStart, match="STATS_DATABASE_URL"):
        async with running(settings_of(database_url="postgresql://user:secret@127.0.0.1:1/stats")):
            pass


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
    async with opened(f"sqlite:///{path}", Clock(time.time() - silent_seconds)) as store:
        await store.record(batch(7, answers(10, 3)))
    settings = settings_of(database_url=f"sqlite:///{path}", source_retention_seconds=86_400)

    duplicate, _ = await record_and_count(settings)

    assert duplicate is remembered


async def test_health_answers_for_the_server_and_for_the_service_by_its_full_name() -> None:
    async with running(settings_of()) as port, open_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "stats.Stats"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_it_starts_within_its_bounds_and_keeps_to_them(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/stats.sqlite3"
    async with opened(url, Clock(time.time())) as store:
        await record_numbers(store, range(1_500))
    settings = settings_of(database_url=url, max_numbers=1_000, tidy_interval_seconds=0.01)

    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = StatsStub(channel)
        assert (await stub.GetStats(Empty())).totals.numbers == 1_000
        await stub.RecordNo(stats_pb2.RecordRequest(n=5_000))
        async with asyncio.timeout(10):
            while (await stub.GetStats(Empty())).totals.folded.request_count < 501:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        totals = (await stub.GetStats(Empty())).totals
        assert (totals.numbers, totals.all.request_count) == (1_000, 1_501)


async def test_an_account_that_cannot_be_tidied_is_served(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    async with opened(f"sqlite:///{path}", Clock(time.time())) as store:
        await record_numbers(store, range(1_500))
    with connected(path) as file:
        file.execute("CREATE TRIGGER kept BEFORE DELETE ON numbers BEGIN SELECT RAISE(ABORT, 'kept'); END")
    settings = settings_of(database_url=f"sqlite:///{path}", max_numbers=1_000)

    with structlog.testing.capture_logs() as lines:
        assert await record_and_count(settings) == (False, 1_503)

    assert [(line["event"], line["error"]) for line in lines if line["log_level"] != "info"] == [
        ("store.unavailable", "IntegrityError: kept")
    ]


async def test_a_store_that_cannot_be_reached_is_unavailable_to_its_callers_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "stats.sqlite3"
    settings = settings_of(database_url=f"sqlite:///{path}")
    async with running(settings) as port, open_channel(f"127.0.0.1:{port}") as channel:
        stub = StatsStub(channel)
        with connected(path) as file:
            file.execute("DROP TABLE totals")

        for call in (stub.RecordNo(BATCH), stub.GetStats(Empty()), stub.ListStats(stats_pb2.ListStatsRequest())):
            refusal = await refusal_of(call)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
            assert "totals" not in refusal.message
