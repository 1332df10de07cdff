from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from bench.answers import answer, fibonacci
from bench.checks import INDICES, check_account, check_bodies, open_client
from bench.errors import BenchmarkFailed

URL = "http://127.0.0.1"
ASKED = {1: 3, 2: 7}


def test_the_expected_answers_are_those_of_the_contract() -> None:
    assert answer(10) == b'{"n":10,"x":55,"value":"55"}'
    assert answer(93) == b'{"n":93,"value":"12200160415121876738"}'
    assert fibonacci(92) < 2**63 <= fibonacci(93)


def test_right_bodies_pass_and_are_counted() -> None:
    with _gateway() as client:
        assert check_bodies(client, URL) == dict.fromkeys(INDICES, 1)


@pytest.mark.parametrize(
    "wrong",
    [httpx.Response(200, content=b'{"n":10,"x":56,"value":"56"}'), httpx.Response(503, content=answer(10))],
    ids=["another number", "another status"],
)
def test_a_wrong_answer_fails_the_run(wrong: httpx.Response) -> None:
    with _gateway(wrong=wrong) as client, pytest.raises(BenchmarkFailed, match=r"GET /fib\?n=10 answered"):
        check_bodies(client, URL, (1, 10))


def test_a_total_that_grows_to_what_was_sent_passes() -> None:
    with _gateway(accounts=({1: 3}, {1: 3, 2: 4}, ASKED, ASKED)) as client:
        check_account(client, URL, ASKED)


@pytest.mark.parametrize(
    "accounts", [[{1: 3, 2: 6}] * 1000, [ASKED, {1: 3, 2: 8}]], ids=["one is lost", "one counts twice"]
)
def test_a_total_that_differs_from_what_was_sent_fails_the_run(accounts: Iterable[Mapping[int, int]]) -> None:
    with _gateway(accounts=accounts) as client, pytest.raises(BenchmarkFailed, match="10 requests were sent and GET"):
        check_account(client, URL, ASKED, seconds=0.1)


@pytest.mark.parametrize("counts", [{1: 4, 2: 6}, {1: 3, 3: 7}], ids=["one for another", "a number nobody asked for"])
def test_a_number_that_is_counted_wrong_fails_the_run(counts: Mapping[int, int]) -> None:
    with _gateway(accounts=[counts] * 2) as client, pytest.raises(BenchmarkFailed, match=r"for n=\d and GET"):
        check_account(client, URL, ASKED)


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")  # where nobody listens
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server, ThreadPoolExecutor(1) as others:
        server.timeout = 10
        others.submit(server.handle_request)
        with open_client() as client:
            assert client.get(f"http://127.0.0.1:{server.server_port}/").status_code == HTTPStatus.NOT_IMPLEMENTED


def test_an_account_that_cannot_be_read_yet_is_read_again() -> None:
    with _gateway(accounts=({}, ASKED, ASKED), away=1) as client:
        check_account(client, URL, ASKED)


def test_a_number_beside_a_right_total_fails_the_run() -> None:
    beside = [{**ASKED, 3: 1}] * 2
    with _gateway(accounts=beside, total=10) as client, pytest.raises(BenchmarkFailed, match=r"^0 requests .* n=3 "):
        check_account(client, URL, ASKED)


def _gateway(
    *,
    wrong: httpx.Response | None = None,
    accounts: Iterable[Mapping[int, int]] = (),
    away: int = 0,
    total: int | None = None,
) -> httpx.Client:
    """The first `away` of the accounts are not told; a total that is given is that of all."""
    remaining = enumerate(accounts)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/stats":
            place, counts = next(remaining)
            return httpx.Response(503) if place < away else httpx.Response(200, json=_account(counts, total))
        n = int(request.url.params["n"])
        return wrong if wrong is not None and n == 10 else httpx.Response(200, content=answer(n))

    return httpx.Client(transport=httpx.MockTransport(respond))


def _account(counts: Mapping[int, int], total: int | None) -> dict[str, object]:
    rows = [{"n": n, "request_count": count} for n, count in counts.items()]
    return {"total_requests": sum(counts.values()) if total is None else total, "fibonacci_stats": rows}
