import asyncio
import contextlib

import grpc
import httpx
import pytest
from structlog.testing import capture_logs

from api_gateway import circuit_breaker
from api_gateway.circuit_breaker import FAILURES_TO_OPEN, OPEN_SECONDS, CircuitBreaker
from api_gateway.deadlines import HEADER
from api_gateway.errors import DeadlineExceeded, ServiceUnavailable, UpstreamError
from tests.api_gateway.neighbours import TinyStats, failing, gateway_to, hang, until_ready

LATE = DeadlineExceeded("stats_service", "no answer")
BAD_REQUEST = UpstreamError(grpc.StatusCode.INVALID_ARGUMENT, "limit must be less")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(service="stats_service", clock=clock)


def end(breaker: CircuitBreaker, error: BaseException | None = None, *, telling: bool = True) -> bool:
    """One call that ends so; whether it was made."""
    made = False
    failures = (ServiceUnavailable, DeadlineExceeded, UpstreamError, asyncio.CancelledError)
    with contextlib.suppress(*failures), breaker.call(telling=telling):
        made = True
        if error is not None:
            raise error
    return made


def fail(breaker: CircuitBreaker, times: int) -> None:
    for _ in range(times):
        assert end(breaker, LATE)


@pytest.mark.parametrize("error", [LATE, ServiceUnavailable("stats_service", "no connection")])
def test_enough_failures_in_a_row_open_it(breaker: CircuitBreaker, error: Exception) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert end(breaker, error)
    assert not end(breaker)


@pytest.mark.parametrize("answer", [None, BAD_REQUEST], ids=["an answer", "an error that is an answer"])
def test_an_answer_between_failures_keeps_it_closed(breaker: CircuitBreaker, answer: Exception | None) -> None:
    for _ in range(3):
        fail(breaker, FAILURES_TO_OPEN - 1)
        assert end(breaker, answer)


@pytest.mark.parametrize("answer", [None, BAD_REQUEST], ids=["an answer", "an error that is an answer"])
def test_after_a_while_one_call_tries_and_its_answer_closes_it(
    breaker: CircuitBreaker, clock: Clock, answer: Exception | None
) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    with capture_logs() as lines:
        with breaker.call():
            assert not end(breaker), "a second call was made beside the one that tries"
        assert end(breaker, answer)
    assert [line["event"] for line in lines] == ["circuit.closed"]
    fail(breaker, FAILURES_TO_OPEN - 1)
    assert end(breaker)


def test_a_trial_that_fails_leaves_it_open_for_as_long_again(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    fail(breaker, 1)
    clock.now += OPEN_SECONDS * 0.9
    assert not end(breaker)
    clock.now += OPEN_SECONDS * 0.1
    assert end(breaker)


def test_it_is_told_once_that_it_opens_however_many_trials_fail(breaker: CircuitBreaker, clock: Clock) -> None:
    with capture_logs() as lines:
        fail(breaker, FAILURES_TO_OPEN)
        for _ in range(3):
            clock.now += OPEN_SECONDS
            fail(breaker, 1)

    assert [(line["event"], line["failures"]) for line in lines] == [("circuit.opened", FAILURES_TO_OPEN)]


def test_a_trial_whose_client_goes_away_lets_the_next_one_try(breaker: CircuitBreaker, clock: Clock) -> None:
    fail(breaker, FAILURES_TO_OPEN)
    clock.now += OPEN_SECONDS
    assert end(breaker, asyncio.CancelledError())
    assert end(breaker)


def test_a_call_that_had_too_little_time_says_nothing(breaker: CircuitBreaker) -> None:
    for _ in range(FAILURES_TO_OPEN):
        assert end(breaker, LATE, telling=False)
    assert end(breaker)


async def ask(client: httpx.AsyncClient, times: int, **headers: str) -> None:
    answers = await asyncio.gather(*(client.get("/stats", headers=headers) for _ in range(times)))
    assert {answer.status_code for answer in answers} == {503}


async def test_a_hung_stats_service_is_not_waited_for_by_everybody_and_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = TinyStats(hang)
    async with gateway_to(service, deadline_seconds=1) as client:
        await until_ready(client)
        await ask(client, FAILURES_TO_OPEN)
        with monkeypatch.context() as no_trial, capture_logs():
            no_trial.setattr(circuit_breaker, "OPEN_SECONDS", 3600)
            await ask(client, 50)
        assert service.calls <= FAILURES_TO_OPEN

        service.before = TinyStats().before
        async with asyncio.timeout(20):
            while (await client.get("/stats")).status_code != 200:
                pass
        assert (await client.get("/fib?n=10")).status_code == 200


async def test_clients_in_a_hurry_do_not_close_stats_for_the_others() -> None:
    service = TinyStats(hang)
    async with gateway_to(service) as client:
        await until_ready(client)
        await ask(client, 2 * FAILURES_TO_OPEN, **{HEADER: "1"})
        service.before = TinyStats().before
        assert (await client.get("/stats")).status_code == 200


async def test_errors_of_a_service_that_answers_are_passed_on_however_many() -> None:
    service = TinyStats(failing(grpc.StatusCode.INVALID_ARGUMENT))
    async with gateway_to(service) as client:
        for _ in range(2 * FAILURES_TO_OPEN):
            assert (await client.get("/stats")).status_code == 400
        assert service.calls == 2 * FAILURES_TO_OPEN
