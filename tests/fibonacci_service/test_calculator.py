import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from fibonacci_service.cache import MemoryCache
from fibonacci_service.calculator import GIVE_WAY_INDEX, MAX_BATCH_BYTES, MAX_BATCH_ITEMS, Calculator
from fibonacci_service.errors import (
    BatchTooLarge,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
)
from fibonacci_service.observations import Computation, Failure, FailureKind
from fibonacci_service.sequence import Encoding, predicted_bytes
from fibonacci_service.value_workers import ValueWorkers
from fibonacci_service.values import EncodedValue
from tests.fibonacci_service.observing import Observed
from tests.fibonacci_service.processes import pool_of

DECIMAL, BIG_ENDIAN = Encoding.DECIMAL, Encoding.BIG_ENDIAN
MAX_INDEX = 100_000


@dataclass
class Bench:
    """A calculator, and what its observers saw."""

    max_index: int = MAX_INDEX
    max_bytes: int = 1 << 20
    observed: Observed = field(default_factory=Observed)
    observed_too: Observed = field(default_factory=Observed)

    def __post_init__(self) -> None:
        self.calculator = Calculator(
            cache=MemoryCache(max_bytes=self.max_bytes),
            workers=ValueWorkers(pool=pool_of()),  # it starts no process before there is a dear request
            max_index=self.max_index,
            observers=[self.observed, self.observed_too],
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_first_answer_is_computed_and_the_second_is_cached(bench: Bench) -> None:
    first = await bench.calculator.compute(100, DECIMAL)
    second = await bench.calculator.compute(100, DECIMAL)

    assert (first.encoded.data, first.origin) == (b"354224848179261915075", "computed")
    assert (second.encoded.data, second.origin) == (b"354224848179261915075", "cache")


async def test_each_encoding_is_computed_for_itself(bench: Bench) -> None:
    await bench.calculator.compute(100, DECIMAL)

    answer = await bench.calculator.compute(100, BIG_ENDIAN)

    assert (int.from_bytes(answer.encoded.data, "big"), answer.cached) == (354224848179261915075, False)


async def test_a_request_without_an_encoding_shares_the_decimal_one(bench: Bench) -> None:
    await bench.calculator.compute(10, DECIMAL)

    assert (await bench.calculator.compute(10, 0)).cached


async def test_without_room_in_the_cache_every_answer_is_computed() -> None:
    calculator = Bench(max_bytes=0).calculator

    assert [(await calculator.compute(10, DECIMAL)).cached for _ in range(3)] == [False, False, False]


async def test_an_answer_says_how_long_it_took(bench: Bench) -> None:
    started = time.perf_counter_ns()
    durations = [(await bench.calculator.compute(n, DECIMAL)).duration_ns for n in (MAX_INDEX, MAX_INDEX, 10)]
    elapsed = time.perf_counter_ns() - started

    assert min(durations) > 0
    assert sum(durations) <= elapsed


async def test_every_observer_sees_every_answer_once_and_in_order(bench: Bench) -> None:
    answers = [await bench.calculator.compute(n, DECIMAL) for n in (10, 20, 10)]

    assert bench.observed == bench.observed_too == Observed(computations=answers)


REFUSED: list[tuple[int, int, type[FibonacciError]]] = [
    (-1, DECIMAL, IndexNegative),
    (-(2**31), 0, IndexNegative),
    (MAX_INDEX + 1, DECIMAL, IndexTooLarge),
    (2**31 - 1, 0, IndexTooLarge),
    (93, 0, EncodingNeeded),
    (10, 3, EncodingUnknown),
    (100, -1, EncodingUnknown),
]


@pytest.mark.parametrize(("n", "encoding", "error"), REFUSED)
async def test_a_refused_request_is_not_observed(
    bench: Bench, n: int, encoding: int, error: type[FibonacciError]
) -> None:
    with pytest.raises(error):
        await bench.calculator.compute(n, encoding)

    assert bench.observed == Observed()


@pytest.mark.parametrize(("n", "encoding"), [(0, 0), (92, 0), (93, DECIMAL), (MAX_INDEX, BIG_ENDIAN)])
async def test_the_limits_themselves_are_answered(bench: Bench, n: int, encoding: int) -> None:
    assert (await bench.calculator.compute(n, encoding)).n == n


async def test_the_limit_is_the_one_it_was_given() -> None:
    calculator = Bench(max_index=92).calculator
    with pytest.raises(IndexTooLarge) as caught:
        await calculator.compute(93, DECIMAL)

    assert (caught.value.n, caught.value.limit) == (93, 92)


async def test_a_batch_keeps_its_order_with_an_error_beside_the_answers(bench: Bench) -> None:
    outcomes = await bench.calculator.compute_each([(3, DECIMAL), (-1, DECIMAL), (93, 0), (10, 0)])

    assert [type(outcome) for outcome in outcomes] == [Computation, IndexNegative, EncodingNeeded, Computation]
    assert [outcome.encoded.data for outcome in outcomes if isinstance(outcome, Computation)] == [b"2", b"55"]
    assert [computation.n for computation in bench.observed.computations] == [3, 10]


async def test_the_same_number_in_a_batch_is_computed_once_and_answered_each_time(bench: Bench) -> None:
    requests = [(500, DECIMAL), (7, DECIMAL), (500, DECIMAL), (500, 2), (500, DECIMAL)]

    first = await bench.calculator.compute_each(requests)
    again = await bench.calculator.compute_each(requests)

    told = [(computation.n, computation.origin) for computation in bench.observed.computations]
    shared = [(500, "coalesced")] * 2
    assert told[:5] == [(500, "computed"), (7, "computed"), (500, "computed"), *shared]
    assert told[5:] == [(500, "cache"), (7, "cache"), (500, "cache"), (500, "cache"), (500, "cache")]
    assert [outcome.n for outcome in first if isinstance(outcome, Computation)] == [n for n, _ in requests]
    assert len(again) == len(requests)


async def test_of_equal_requests_in_a_batch_each_refusal_is_told_to_nobody_and_each_answer_to_everybody(
    bench: Bench,
) -> None:
    outcomes = await bench.calculator.compute_each([(-1, DECIMAL), (5, DECIMAL), (-1, DECIMAL), (5, DECIMAL)])

    assert [type(outcome).__name__ for outcome in outcomes] == ["IndexNegative", "Computation"] * 2
    assert [computation.n for computation in bench.observed.computations] == [5, 5]
    assert bench.observed.failures == []


async def test_an_empty_batch_has_no_outcomes(bench: Bench) -> None:
    assert await bench.calculator.compute_each([]) == []


async def test_a_batch_of_as_many_items_as_allowed_is_answered(bench: Bench) -> None:
    assert len(await bench.calculator.compute_each([(1, DECIMAL)] * MAX_BATCH_ITEMS)) == MAX_BATCH_ITEMS


async def test_a_batch_of_one_item_more_is_refused_before_anything_is_computed(bench: Bench) -> None:
    with pytest.raises(BatchTooLarge) as caught:
        await bench.calculator.compute_each([(1, DECIMAL)] * (MAX_BATCH_ITEMS + 1))

    assert (caught.value.size, caught.value.limit, caught.value.unit) == (MAX_BATCH_ITEMS + 1, MAX_BATCH_ITEMS, "items")
    assert bench.observed == Observed()


async def test_a_batch_is_refused_for_the_bytes_it_would_answer(bench: Bench) -> None:
    fitting = MAX_BATCH_BYTES // predicted_bytes(MAX_INDEX, DECIMAL)
    with pytest.raises(BatchTooLarge) as caught:
        await bench.calculator.compute_each([(MAX_INDEX, DECIMAL)] * (fitting + 1))

    assert caught.value.limit == MAX_BATCH_BYTES < caught.value.size
    assert bench.observed == Observed()
    assert len(await bench.calculator.compute_each([(MAX_INDEX, DECIMAL)] * fitting)) == fitting


async def test_a_batch_of_as_many_bytes_as_allowed_is_answered_and_of_one_more_refused(bench: Bench) -> None:
    largest, rest = divmod(MAX_BATCH_BYTES, predicted_bytes(MAX_INDEX, DECIMAL))
    filling, too_much = (_index_of_length(length) for length in (rest, rest + 1))

    await bench.calculator.compute_each([(MAX_INDEX, DECIMAL)] * largest + [(filling, DECIMAL)])

    with pytest.raises(BatchTooLarge) as caught:
        await bench.calculator.compute_each([(MAX_INDEX, DECIMAL)] * largest + [(too_much, DECIMAL)])
    assert caught.value.size == MAX_BATCH_BYTES + 1


def _index_of_length(length: int) -> int:
    return next(n for n in range(MAX_INDEX) if predicted_bytes(n, DECIMAL) == length)


async def test_items_that_will_be_refused_add_no_bytes_to_a_batch_and_take_none_away(bench: Bench) -> None:
    refused = [(2**31 - 1, DECIMAL), (-(2**31), DECIMAL)]
    outcomes = await bench.calculator.compute_each([*refused, (10, DECIMAL)])

    assert [type(outcome) for outcome in outcomes] == [IndexTooLarge, IndexNegative, Computation]
    too_many = MAX_BATCH_BYTES // predicted_bytes(MAX_INDEX, DECIMAL) + 1
    with pytest.raises(BatchTooLarge):
        await bench.calculator.compute_each([*refused, *[(MAX_INDEX, DECIMAL)] * too_many])


async def test_a_fault_of_the_service_itself_is_a_failure_and_not_hidden(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fibonacci_service.calculator.encoded_value", out_of_memory)
    with pytest.raises(MemoryError):
        await bench.calculator.compute(10, DECIMAL)

    assert bench.observed == bench.observed_too == Observed(failures=[Failure(10, FailureKind.INTERNAL)])


async def test_a_fault_in_a_batch_fails_the_items_that_it_never_came_to_and_no_refused_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = await bench.calculator.compute(10, DECIMAL)
    monkeypatch.setattr("fibonacci_service.calculator.encoded_value", out_of_memory)
    with pytest.raises(MemoryError):
        await bench.calculator.compute_each([(10, DECIMAL), (20, DECIMAL), (-1, DECIMAL), (30, DECIMAL)])

    assert [computation.n for computation in bench.observed.computations] == [answered.n, 10]
    assert bench.observed.failures == [Failure(n, FailureKind.INTERNAL) for n in (20, 30)]


async def test_a_batch_that_its_caller_leaves_tells_of_each_item_once(bench: Bench) -> None:
    turning = GIVE_WAY_INDEX + 1  # behind it the batch lets others have their turn
    asked = [(5, DECIMAL), (MAX_INDEX, DECIMAL), (93, 0), (turning, DECIMAL), (6, DECIMAL), (5, DECIMAL), (-1, 0)]
    batch = asyncio.create_task(bench.calculator.compute_each([asked[0], asked[3], *asked]))
    await asyncio.sleep(0)
    batch.cancel()
    await asyncio.wait([batch])

    assert [computation.n for computation in bench.observed.computations] == [5, turning]
    cancelled = Counter(Failure(n, FailureKind.CANCELLED) for n in (5, MAX_INDEX, turning, 6, 5))
    assert Counter(bench.observed.failures) == cancelled


def out_of_memory(_n: int, _encoding: Encoding) -> EncodedValue:
    raise MemoryError
