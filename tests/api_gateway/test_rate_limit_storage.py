import random
import time

import pytest
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api_gateway.rate_limit_storage import BoundedMemoryStorage
from api_gateway.rates import parse_rates

ADDRESSES = [f"10.0.{n // 256}.{n % 256}" for n in range(10_000)]


async def test_it_counts_as_the_storage_of_the_library_does(monkeypatch: pytest.MonkeyPatch) -> None:
    now, chance = 1_800_000_000.0, random.Random(5)  # noqa: S311 - a seed makes it repeatable
    monkeypatch.setattr(time, "time", lambda: now)
    ours, theirs = (
        SlidingWindowCounterRateLimiter(storage) for storage in (BoundedMemoryStorage(max_clients=10), MemoryStorage())
    )
    rates, answers = parse_rates("3/second;20/10second"), []
    for _ in range(3_000):
        now += chance.choice([0, 0, 0, 0.05, 0.3]) * chance.random()
        client, rate = chance.choice("abc"), chance.choice(rates)
        answer = await ours.hit(rate, client)
        assert answer == await theirs.hit(rate, client)
        left, expected = await ours.get_window_stats(rate, client), await theirs.get_window_stats(rate, client)
        assert left.remaining == expected.remaining
        assert left.reset_time == pytest.approx(expected.reset_time, abs=1e-3)
        answers.append(answer)
    assert 500 < sum(answers) < 2_500, "there is much to compare of either kind"


async def test_ten_thousand_addresses_take_no_more_memory_than_there_is_for_them() -> None:
    storage = BoundedMemoryStorage(max_clients=1_000)
    limiter = SlidingWindowCounterRateLimiter(storage)
    often, seldom = rates = parse_rates("2/minute;3/day")
    for address in ADDRESSES:
        for rate in rates:
            assert await limiter.hit(rate, address)
    assert len(storage) == 2_000
    assert (await limiter.get_window_stats(seldom, ADDRESSES[-1])).remaining == 2
    assert (await limiter.get_window_stats(often, ADDRESSES[0])).remaining == 2  # forgotten


async def test_a_client_that_goes_on_asking_is_not_forgotten_for_those_who_ask_once() -> None:
    limiter = SlidingWindowCounterRateLimiter(BoundedMemoryStorage(max_clients=100))
    (rate,) = parse_rates("100/day")
    accepted = 0
    for n, address in enumerate(ADDRESSES):
        if n % 50 == 0:
            accepted += await limiter.hit(rate, "busy")
        await limiter.hit(rate, address)
    assert accepted == 100


async def test_silent_clients_are_forgotten_after_two_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    storage = BoundedMemoryStorage()
    limiter = SlidingWindowCounterRateLimiter(storage)
    (rate,) = parse_rates("1000000/second")
    for address in ADDRESSES[:1_000]:
        await limiter.hit(rate, address)
    now += 1.9
    assert len(storage) == 1_000
    now += 0.1
    await limiter.hit(rate, "another")
    assert len(storage) == 1


async def test_a_client_can_be_let_off() -> None:
    limiter = SlidingWindowCounterRateLimiter(BoundedMemoryStorage())
    (rate,) = parse_rates("1/day")
    assert [await limiter.hit(rate, "a") for _ in range(2)] == [True, False]
    await limiter.clear(rate, "a")
    assert await limiter.hit(rate, "a")
