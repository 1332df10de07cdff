import asyncio
import ssl
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from service_kit import refusals
from tests.api_gateway.certified import client_of, context, serving
from tests.tls.authority import Authority


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def test_without_authorities_of_clients_anybody_may_ask(ours: Authority) -> None:
    async with serving(ours) as url, client_of(url, context(ours)) as client:
        assert (await client.get("/livez")).status_code == 200


async def test_without_names_every_client_of_the_authorities_may_ask_and_no_other(ours: Authority) -> None:
    async with serving(ours, client_ca=str(ours.file)) as url:
        async with client_of(url, context(ours, ours.issue("somebody"))) as client:
            assert (await client.get("/livez")).status_code == 200
        async with client_of(url, context(ours)) as stranger:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await stranger.get("/livez")


async def test_where_tls_is_spoken_nothing_is_answered_in_the_clear(ours: Authority) -> None:
    async with serving(ours) as url, client_of(url.replace("https:", "http:"), context(ours)) as client:
        with pytest.raises(httpx.TransportError):
            await client.get("/livez")


@pytest.mark.parametrize("names", ["caller", "first, caller", "10.0.0.7"])
async def test_a_client_is_admitted_by_any_name_of_its_certificate(ours: Authority, names: str) -> None:
    shown = ours.issue("caller", "10.0.0.7")
    async with (
        serving(ours, client_ca=str(ours.file), names=names) as url,
        client_of(url, context(ours, shown)) as client,
    ):
        assert (await client.get("/livez")).status_code == 200


async def test_a_client_of_another_name_gets_a_problem_whatever_it_asks_and_the_log_says_who_it_is(
    ours: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "LOG_INTERVAL_SECONDS", 3600)
    shown = ours.issue("somebody")
    with capture_logs() as lines:
        async with (
            serving(ours, client_ca=str(ours.file), names="caller") as url,
            client_of(url, context(ours, shown)) as client,
        ):
            answers = [await client.get(path) for path in ("/livez", "/fib?n=10", "/nowhere")]
            answers.append(await client.post("/fib/batch", json=[10]))

    refused = [line for line in lines if line["event"] == "http.refused"]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    ids = [answer.json()["request_id"] for answer in answers]
    assert [answer.headers["x-request-id"] for answer in answers] == ids
    assert len(set(ids)) == 4
    assert [(line["reason"], line["client_names"]) for line in refused] == [("client_not_admitted", ["somebody"])]


async def test_what_is_not_http_is_a_bad_request_over_tls_too(ours: Authority) -> None:
    async with serving(ours) as url:
        port = httpx.URL(url).port
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context(ours))
        writer.write(b"nonsense\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer


async def test_a_client_that_does_not_finish_its_handshake_is_gone(ours: Authority) -> None:
    async with serving(ours, receive_timeout_seconds=0.5) as url, asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("localhost", httpx.URL(url).port)
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_public_gateway_speaks_tls_1_2_and_1_3(ours: Authority, version: ssl.TLSVersion) -> None:
    only = context(ours)
    only.minimum_version = only.maximum_version = version
    async with serving(ours) as url, client_of(url, only) as client:
        assert (await client.get("/livez")).status_code == 200
