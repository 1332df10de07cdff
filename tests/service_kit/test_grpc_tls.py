import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_health.v1 import health_pb2
from grpc_status.rpc_status import from_call
from structlog.testing import capture_logs

from service_kit import grpc_tls, tls
from service_kit.grpc_channel import open_channel
from service_kit.tls import CallTls, Certificates
from service_kit.tls_files import TlsFile, TlsFiles
from tests.service_kit.small_service import Answer, SmallClient, double, listening
from tests.tls.authority import Authority, Issued


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "LOOK_SECONDS", 0.02)


def listening_with(issued: Issued, **changes: Any) -> dict[str, Any]:
    return {"tls_certificate": str(issued.certificate), "tls_key": str(issued.key), **changes}


def calling_with(believed: Path, shown: Issued, server_name: str = "") -> CallTls:
    files = TlsFiles(
        certificate=TlsFile("DEMO_CALL_CERTIFICATE", str(shown.certificate)),
        key=TlsFile("DEMO_CALL_KEY", str(shown.key)),
        ca=TlsFile("DEMO_OTHER_CA", str(believed)),
    )
    return CallTls(Certificates(files), server_name)


@asynccontextmanager
async def talking(answer: Answer, server: dict[str, Any], call: CallTls) -> AsyncIterator[SmallClient]:
    async with listening(answer, **server) as port, open_channel(f"localhost:{port}", tls=call) as channel:
        yield SmallClient(port, channel)


async def ask(client: SmallClient, n: int) -> int:
    return await client.ask(n, wait_for_ready=True, timeout=30)


async def logged(lines: list[Any], event: str) -> None:
    """Returns once there is such a line."""
    async with asyncio.timeout(30):
        while True:
            if any(line["event"] == event for line in lines):
                return
            await asyncio.sleep(0.01)


async def refused(channel: grpc.aio.Channel) -> None:
    """Returns once an attempt to connect has failed."""
    while (state := channel.get_state(try_to_connect=True)) is not grpc.ChannelConnectivity.TRANSIENT_FAILURE:
        await channel.wait_for_state_change(state)


async def test_a_server_may_have_the_name_that_is_expected_of_it(ours: Authority) -> None:
    call = calling_with(ours.file, ours.issue("caller"), server_name="small.example")
    async with talking(double, listening_with(ours.issue("small.example")), call) as client:
        assert await ask(client, 21) == 42


@pytest.mark.parametrize("names", ["caller", "first,caller", "first, caller", "10.0.0.7"])
async def test_a_client_is_admitted_by_any_name_of_its_certificate(ours: Authority, names: str) -> None:
    shown = ours.issue("caller", "10.0.0.7")
    server = listening_with(ours.issue("localhost"), tls_client_ca=str(ours.file), tls_client_names=names)
    async with talking(double, server, calling_with(ours.file, shown)) as client:
        assert await ask(client, 21) == 42


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_client_of_another_name_is_refused_and_the_log_says_who_it_is(ours: Authority, kind: str) -> None:
    server = listening_with(ours.issue("localhost"), tls_client_ca=str(ours.file), tls_client_names="caller")
    call = calling_with(ours.file, ours.issue("somebody"))
    with capture_logs() as lines:
        async with talking(double, server, call) as client:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await (
                    ask(client, 1) if kind == "unary" else client.stream(1, 3, wait_for_ready=True, timeout=30).read()
                )

    info = ErrorInfo()
    from_call(caught.value).details[0].Unpack(info)
    [line] = [line for line in lines if line["event"] == "rpc.served"]
    assert (caught.value.code(), info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CLIENT_NOT_ADMITTED")
    assert (line["code"], line["client_names"]) == ("PERMISSION_DENIED", ["somebody"])


async def test_a_client_of_another_name_may_ask_for_health(ours: Authority) -> None:
    server = listening_with(ours.issue("localhost"), tls_client_ca=str(ours.file), tls_client_names="caller")
    async with talking(double, server, calling_with(ours.file, ours.issue("somebody"))) as client:
        answer = await client.health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=30)

    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_channel_takes_a_new_certificate_and_finishes_the_calls_over_the_old_one(ours: Authority) -> None:
    started, release = asyncio.Event(), asyncio.Event()

    async def answer(n: int) -> int:
        if n:
            started.set()
            await release.wait()
        return 2 * n

    shown = ours.issue("caller")
    server = listening_with(ours.issue("localhost"), tls_client_ca=str(ours.file))
    with capture_logs() as lines:
        async with talking(answer, server, calling_with(ours.file, shown)) as client:
            held = asyncio.create_task(ask(client, 21))
            await started.wait()
            shown.replace_by(ours.issue("renamed"))
            await logged(lines, "channel.replaced")
            assert await ask(client, 0) == 0
            release.set()
            assert await held == 42


async def test_a_channel_whose_new_certificate_is_not_believed_keeps_the_old_one(
    ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_tls, "PATIENCE_SECONDS", 0.2)
    shown, good = ours.issue("caller"), ours.issue("caller")
    server = listening_with(ours.issue("localhost"), tls_client_ca=str(ours.file))
    with capture_logs() as lines:
        async with talking(double, server, calling_with(ours.file, shown)) as client:
            assert await ask(client, 21) == 42
            shown.replace_by(Authority(tmp_path).issue("caller"))
            await logged(lines, "channel.not_replaced")
            [told] = [line for line in lines if line["event"] == "channel.not_replaced"]
            assert told["target"].endswith(f":{client.port}")
            assert await client.ask(22, timeout=30) == 44
            shown.replace_by(good)
            await logged(lines, "channel.replaced")
            assert await ask(client, 23) == 46
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_who_waits_for_a_connection_is_woken_by_a_certificate_that_brings_one(
    ours: Authority, tmp_path: Path
) -> None:
    shown = Authority(tmp_path).issue("caller")
    server = listening_with(ours.issue("localhost"), tls_client_ca=str(ours.file))
    async with talking(double, server, calling_with(ours.file, shown)) as client:
        ready = asyncio.create_task(client.channel.channel_ready())
        call = asyncio.create_task(client.ask(1, wait_for_ready=True, timeout=300))
        await refused(client.channel)
        shown.replace_by(ours.issue("caller"))
        async with asyncio.timeout(30):
            await ready
        assert not call.done()  # it keeps the old channel open
        assert await client.ask(21, timeout=30) == 42
        call.cancel()
