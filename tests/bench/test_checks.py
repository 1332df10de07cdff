from collections.abc import Iterable

import httpx
import pytest

from bench.answers import answer, fibonacci
from bench.checks import INDICES, check_bodies, check_total
from bench.errors import BenchmarkFailed

URL = "http://127.0.0.1"


def test_the_expected_answers_are_those_of_the_contract() -> None:
    assert answer(10) == b'{"n":10,"x":55,"value":"55"}'
    assert answer(93) == b'{"n":93,"value":"12200160415121876738"}'
    assert fibonacci(92) < 2**63 <= fibonacci(93)


def test_right_bodies_pass_and_are_counted() -> None:
    with _gateway() as client:
        assert check_bodies(client, URL) == len(INDICES)


@pytest.mark.parametrize(
    "wrong",
    [httpx.Response(200, content=b'{"n":10,"x":56,"value":"56"}'), httpx.Response(503, content=answer(10))],
    ids=["another number", "another status"],
)
def test_a_wrong_answer_fails_the_run(wrong: httpx.Response) -> None:
    with _gateway(wrong=wrong) as client, pytest.raises(BenchmarkFailed, match=r"GET /fib\?n=10 answered"):
        check_bodies(client, URL, (1, 10))


def test_a_total_that_grows_to_what_was_sent_passes() -> None:
    with _gateway(totals=(3, 7, 10, 10)) as client:
        check_total(client, URL, expected=10)


@pytest.mark.parametrize("totals", [(9,) * 1000, (10, 11)], ids=["too few", "one twice"])
def test_a_total_that_differs_from_what_was_sent_fails_the_run(totals: tuple[int, ...]) -> None:
    with _gateway(totals=totals) as client, pytest.raises(BenchmarkFailed, match="10 requests were sent and GET"):
        check_total(client, URL, expected=10, seconds=0.1)


def _gateway(*, wrong: httpx.Response | None = None, totals: Iterable[int] = ()) -> httpx.Client:
    remaining = iter(totals)

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/stats":
            return httpx.Response(200, json={"total_requests": next(remaining)})
        n = int(request.url.params["n"])
        return wrong if wrong is not None and n == 10 else httpx.Response(200, content=answer(n))

    return httpx.Client(transport=httpx.MockTransport(respond))
