import asyncio

import httpx
import pytest

from api_gateway.app import running
from api_gateway.settings import Settings
from service_kit.lifecycle import CannotStart
from tests.api_gateway.neighbours import TinyFibonacci, connect, gateway_to


async def test_a_port_in_use_is_named_with_the_setting_that_chooses_another() -> None:
    async with gateway_to(TinyFibonacci()) as client:
        port = client.base_url.port
        with pytest.raises(CannotStart, match=rf"port {port}: .*GATEWAY_LISTEN_PORT"):
            async with running(Settings(listen_port=port or 0)):
                pass


async def test_two_gateways_share_a_port_where_both_say_so() -> None:
    first, second = TinyFibonacci(), TinyFibonacci()
    async with gateway_to(first, reuse_port=True) as client:
        port = client.base_url.port
        async with gateway_to(second, reuse_port=True, listen_port=port):
            async with asyncio.timeout(20):
                while not (first.batches and second.batches):
                    await ask_over_a_new_connection(client.base_url)
        assert (await client.get("/livez")).status_code == 200
        with pytest.raises(CannotStart, match=f"port {port}: "):
            async with running(Settings(listen_port=port or 0)):
                pass


async def ask_over_a_new_connection(url: httpx.URL) -> None:
    async with connect(str(url)) as client:
        assert (await client.get("/fib?n=10")).status_code == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_names_no_server_software(lasting_client: httpx.AsyncClient) -> None:
    assert "server" not in (await lasting_client.get("/livez")).headers


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "request_text", ["nonsense\r\n\r\n", "GET  HTTP/1.1\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\0\r\n\r\n"]
)
async def test_what_is_not_http_is_a_bad_request(lasting_client: httpx.AsyncClient, request_text: str) -> None:
    url = lasting_client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(request_text.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Traceback" not in answer


@pytest.mark.asyncio(loop_scope="module")
async def test_a_connection_carries_one_request_after_another(lasting_client: httpx.AsyncClient) -> None:
    url = lasting_client.base_url
    reader, writer = await asyncio.open_connection(url.host, url.port)
    for _ in range(3):
        writer.write(b"HEAD /fib?n=10 HTTP/1.1\r\nHost: gateway\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
    writer.write(b"GET /livez HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    assert answer.endswith(b'{"status":"alive"}')
    writer.close()
    await writer.wait_closed()
