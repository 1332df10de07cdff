import asyncio
from typing import Any

import grpc
import pytest

from service_kit import unknown_methods
from service_kit.unknown_methods import new_server
from tests.service_kit.small_service import SmallClient, double, served
from tests.system.fuzz.frames import PREFACE, SETTINGS, call, call_fields, frame


async def answer_to(client: SmallClient, path: bytes) -> bytes:
    """What comes back for an empty message to a method, up to the end of the call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(PREFACE + frame(SETTINGS, 0, 0) + call(*call_fields(path), stream=1, message=bytes(5)))
    answer = b""
    while b"grpc-status" not in answer:
        answer += await reader.read(65_536)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_method_that_is_no_text_is_unimplemented_and_the_server_goes_on() -> None:
    async with served(double) as client:
        for _ in range(2):
            answer = await answer_to(client, b"/\xff")
            assert b"grpc-status\x0212" in answer
            assert b"Method not found!" in answer
        assert await client.ask(21) == 42


@pytest.mark.parametrize("method", ["/fibonacci.Fibonacci/GetFibs", "/", "/fibonacci.Fibonacci/getfib", "/\u00e9"])
async def test_a_method_that_nobody_has_is_unimplemented(method: str) -> None:
    async with served(double) as client:
        channel: Any = client.channel  # the bytes go as they are
        for _ in range(2):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(method)(b"", wait_for_ready=True)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert await client.ask(21) == 42


async def test_a_release_of_grpcio_that_was_not_tested_gets_its_own_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_methods, "version", lambda _: "1.999.0")
    server = new_server(interceptors=(), options=())
    assert type(server) is type(grpc.aio.server())
