"""On which databases a service starts, several at once among them, and what it says where it does not."""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from service_kit.lifecycle import CannotStart
from stats_service import store_postgresql
from stats_service.schema import HEAD
from stats_service.store import Bounds
from tests.postgres import Postgres
from tests.stats_service.accounts import (
    Clock,
    answers,
    batch,
    counts,
)
from tests.stats_service.accounts import opened as opened_account

#: By which a client asks for TLS, before anything else is said.
SSL_REQUEST = bytes.fromhex("0000000804d2162f")


@pytest.fixture
def url(emptied_database: str) -> str:
    return emptied_database


def opened(url: str, **bounds: Any) -> Any:
    return opened_account(url, Clock(), Bounds(**bounds))


async def refusal(url: str) -> str:
    with pytest.raises(CannotStart) as caught:
        async with opened(url):
            pass
    assert str(caught.value).startswith("STATS_DATABASE_URL: cannot use postgresql://")
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


async def test_replicas_that_start_at_once_on_an_empty_database_all_start(postgres: Postgres) -> None:
    for _ in range(3):
        url = postgres.new_database()
        async with AsyncExitStack() as stack:
            replicas = await asyncio.gather(*(stack.enter_async_context(opened(url)) for _ in range(4)))
            await asyncio.gather(
                *(replica.record(batch(1, answers(10), source=f"life-{at}")) for at, replica in enumerate(replicas))
            )
            assert await counts(replicas[0]) == {10: 4}
        assert postgres.execute("SELECT version_num FROM alembic_version", url=url) == HEAD


async def test_a_database_of_another_application_is_refused_and_not_touched(postgres: Postgres) -> None:
    url = postgres.new_database()
    postgres.execute("CREATE TABLE theirs (x int)", url=url)

    assert "another application" in await refusal(url)

    assert postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url=url) == "theirs"


@pytest.mark.parametrize("version", ["0003", "ae1027a6acf"])
async def test_a_version_of_the_schema_that_is_not_known_is_refused(postgres: Postgres, version: str) -> None:
    url = postgres.new_database()
    postgres.execute("CREATE TABLE alembic_version (version_num text)", url=url)
    postgres.execute(f"INSERT INTO alembic_version VALUES ('{version}')", url=url)

    assert f"its schema is version {version}; this release knows up to {HEAD}" in await refusal(url)


async def test_another_application_whose_version_has_the_name_of_ours_is_refused(postgres: Postgres) -> None:
    url = postgres.new_database()
    postgres.execute("CREATE TABLE theirs (x int); CREATE TABLE alembic_version (version_num text)", url=url)
    postgres.execute(f"INSERT INTO alembic_version VALUES ('{HEAD}')", url=url)

    assert "has no table buckets" in await refusal(url)


@pytest.mark.parametrize("parameters", ["sslmode=disable", "application_name=stats"])
async def test_a_url_may_say_how_to_connect(url: str, parameters: str) -> None:
    async with opened(f"{url}&{parameters}") as store:
        assert await counts(store) == {}


@asynccontextmanager
async def tls_before(url: str, folder: Path) -> AsyncIterator[str]:
    """PostgreSQL's own way into TLS before a server that has none: the URL of the other side, and its `ca.pem`."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    socket_folder = parse_qs(urlsplit(url).query)["host"][0]

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(8) == SSL_REQUEST:
            writer.write(b"S")
            await writer.start_tls(context)
            behind = await asyncio.open_unix_connection(f"{socket_folder}/.s.PGSQL.5432")
            await asyncio.gather(pumped(reader, behind[1]), pumped(behind[0], writer))
        else:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"postgresql://postgres:secret@localhost:{server.sockets[0].getsockname()[1]}{urlsplit(url).path}"


async def pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while octets := await reader.read(1 << 16):
            writer.write(octets)
    writer.close()


@pytest.mark.parametrize("parameters", ["sslmode=require", "sslmode=verify-full&sslrootcert={}/ca.pem"])
async def test_a_url_may_ask_for_tls_as_it_does_of_libpq(url: str, tmp_path: Path, parameters: str) -> None:
    async with (
        tls_before(url, tmp_path) as secured,
        opened(f"{secured}?{parameters.format(tmp_path)}") as store,
    ):
        assert await counts(store) == {}


async def test_tls_that_cannot_be_had_keeps_it_from_starting(url: str, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    async with tls_before(url, tmp_path) as secured:
        assert "CERTIFICATE_VERIFY_FAILED" in await refusal(
            f"{secured}?sslmode=verify-full&sslrootcert={tmp_path}/other.pem"
        )
        assert "secret" not in await refusal(f"{secured}?sslmode=disable")


@pytest.mark.parametrize(
    "address",
    [
        "user:secret@127.0.0.1:1/stats",
        "user:sec@ret@127.0.0.1:1/stats",
        "user:secret@127.0.0.1:port/stats",
        "user:secret@[::1/stats",
        "user:secret@127.0.0.1:1/stats?sslmode=secre",
        "/stats?user=user&password=secret&host=/nowhere",
        "user:secret@host.invalid/stats",
    ],
)
async def test_a_server_that_cannot_be_reached_is_told_in_one_line_without_the_password(address: str) -> None:
    line = await refusal(f"postgresql://{address}")

    assert "secret" not in line
    assert "ret@" not in line


async def test_a_server_that_does_not_answer_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_postgresql, "_CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        line = await refusal(f"postgresql://user:secret@127.0.0.1:{silent.getsockname()[1]}/stats?sslmode=disable")

    assert line.endswith("/stats?sslmode=disable: TimeoutError")


async def test_a_database_that_is_not_there_is_told_in_one_line(url: str) -> None:
    assert '"nowhere" does not exist' in await refusal(re.sub("/test_[0-9]+", "/nowhere", url))
