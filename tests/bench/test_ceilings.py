"""On the real processes."""

import httpx
import pytest

from bench.answers import MEASURED_INDEX, answer
from bench.ceilings import BARE_ASGI, EMPTY_RPC, MODEL_ROUTE, new_ceiling
from bench.checks import check_bodies, open_client
from bench.errors import BenchmarkFailed
from bench.rpc.calls import RpcClient
from bench.rpc.exchanges import BATCH, UNARY


@pytest.mark.parametrize("program", [BARE_ASGI, MODEL_ROUTE])
def test_an_http_ceiling_answers_what_the_gateway_answers(program: str) -> None:
    with new_ceiling(program) as ceiling, open_client() as client:
        check_bodies(client, f"http://127.0.0.1:{ceiling.port}", (MEASURED_INDEX,))


def test_the_route_with_a_model_checks_its_index() -> None:
    with new_ceiling(MODEL_ROUTE) as ceiling:
        url = f"http://127.0.0.1:{ceiling.port}/fib"
        assert httpx.get(url, params={"n": 92}).content == answer(92)
        assert httpx.get(url, params={"n": 93}).status_code == 422


def test_the_empty_rpc_is_called_as_often_as_asked() -> None:
    with new_ceiling(EMPTY_RPC) as empty, RpcClient() as client:
        turn = client.measure(empty, UNARY, in_flight=3, seconds=0.01)

    assert 0 < turn.load.p50_ms <= turn.load.p99_ms
    assert client.asked[EMPTY_RPC][MEASURED_INDEX] >= 100 + 3


def test_a_call_that_fails_fails_the_run() -> None:
    with (
        new_ceiling(EMPTY_RPC) as empty,
        RpcClient() as client,
        pytest.raises(BenchmarkFailed, match="calls did not finish call"),
    ):
        client.measure(empty, BATCH, in_flight=1, seconds=0.01)
