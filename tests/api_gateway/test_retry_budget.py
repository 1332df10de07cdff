import asyncio

import grpc
import pytest

from api_gateway.errors import ServiceUnavailable, UpstreamError
from api_gateway.retries import MAX_ATTEMPTS, Caller
from api_gateway.retry_budget import MAX_SAVED, RETRIES_PER_CALL, RETRIES_PER_SECOND, RetryBudget
from service_kit.grpc_channel import open_channel
from tests.api_gateway.neighbours import TinyFibonacci, failing, gateway_to


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def spent(clock: Clock) -> RetryBudget:
    budget = RetryBudget(clock)
    while budget.take():
        pass
    return budget


def takes(budget: RetryBudget) -> int:
    count = 0
    while budget.take():
        count += 1
    return count


def test_a_new_one_has_all_that_can_be_saved() -> None:
    assert takes(RetryBudget(Clock())) == MAX_SAVED


def test_calls_earn_a_part_of_a_retry_each() -> None:
    budget = spent(Clock())
    for _ in range(100):
        budget.add_call()
    assert takes(budget) == 100 * RETRIES_PER_CALL


def test_time_earns_retries_without_calls() -> None:
    clock = Clock()
    budget = spent(clock)
    clock.now += 2
    assert takes(budget) == 2 * RETRIES_PER_SECOND


def test_what_is_earned_while_nothing_fails_is_bounded() -> None:
    clock = Clock()
    budget = RetryBudget(clock)
    clock.now += 1_000_000
    for _ in range(1_000_000):
        budget.add_call()
    assert takes(budget) == MAX_SAVED


async def test_a_service_that_fails_every_call_gets_little_more_than_them() -> None:
    service = TinyFibonacci(failing(grpc.StatusCode.UNAVAILABLE))
    async with gateway_to(service, deadline_seconds=20) as client:
        requests = 400
        started = asyncio.get_running_loop().time()
        responses = await asyncio.gather(*(client.get(f"/fib?n={5000 + n}") for n in range(requests)))
        seconds = asyncio.get_running_loop().time() - started
    assert {response.status_code for response in responses} == {503}
    allowed = MAX_SAVED + requests * RETRIES_PER_CALL + (seconds + 1) * RETRIES_PER_SECOND
    assert requests + MAX_SAVED <= service.calls <= requests + allowed


async def test_only_an_attempt_that_is_made_takes_a_retry_out(absent: str) -> None:
    async def fail(_deadline: float) -> None:
        raise UpstreamError(grpc.StatusCode.UNAVAILABLE, "told to fail")

    async with open_channel(absent) as channel:
        caller = Caller(service="fibonacci_service", channel=channel, deadline_seconds=30)
        caller._budget = RetryBudget(Clock())
        with pytest.raises(ServiceUnavailable):
            await caller.call(fail)

    assert caller.retries == MAX_ATTEMPTS - 1
    assert takes(caller._budget) == MAX_SAVED - caller.retries
