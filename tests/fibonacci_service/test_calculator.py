import time
from dataclasses import FrozenInstanceError, dataclass, field

import pytest

from fibonacci_service.cache import EncodedValue, MemoryCache
from fibonacci_service.calculator import MAX_BATCH_BYTES, MAX_BATCH_ITEMS, Calculator, Computation
from fibonacci_service.errors import (
    BatchTooLarge,
    EncodingNeeded,
    EncodingUnknown,
    FibonacciError,
    IndexNegative,
    IndexTooLarge,
)
from fibonacci_service.sequence import Encoding, predicted_bytes
from fibonacci_service.values import ValueWorkers
from tests.fibonacci_service.processes import pool_of

DECIMAL, BIG_ENDIAN = Encoding.DECIMAL, Encoding.BIG_ENDIAN
MAX_INDEX = 100_000


@dataclass
class Bench:
    """A calculator, and what its observers saw."""

    max_index: int = MAX_INDEX
    max_bytes: int = 1 << 20
    observed: list[Computation] = field(default_factory=list)
    observed_too: list[Computation] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.calculator = Calculator(
            cache=MemoryCache(max_bytes=self.max_bytes),
            workers=ValueWorkers(pool=pool_of()),  # it starts no process before there is a dear request
            max_index=self.max_index,
            observers=[self.observed.append, self.observed_too.append],
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_the_first_answer_is_computed_and_the_second_is_cached(bench: Bench) -> None:
    first = await bench.calculator.compute(100, DECIMAL)
    second = await bench.calculator.compute(100, DECIMAL)

    assert (first.encoded.data, first.cached) == (b"354224848179261915075", False)
    assert (second.encoded.data, second.cached) == (b"354224848179261915075", True)


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


@pytest.mark.parametrize(("n", "x"), [(0, 0), (10, 55), (92, 7540113804746346429), (93, 0), (MAX_INDEX, 0)])
async def test_x_is_the_number_where_it_fits_int64(bench: Bench, n: int, x: int) -> None:
    assert (await bench.calculator.compute(n, DECIMAL)).x == x


async def test_an_answer_says_how_long_it_took(bench: Bench) -> None:
    started = time.perf_counter_ns()
    durations = [(await bench.calculator.compute(n, DECIMAL)).duration_ns for n in (MAX_INDEX, MAX_INDEX, 10)]
    elapsed = time.perf_counter_ns() - started

    assert min(durations) > 0
    assert sum(durations) <= elapsed


def test_an_answer_is_dear_above_one_millisecond() -> None:
    value = EncodedValue(b"55", b"")

    assert [Computation(10, value, cached=False, duration_ns=ns).dear for ns in (1_000_000, 1_000_001)] == [False, True]


async def test_a_computation_does_not_change(bench: Bench) -> None:
    computation = await bench.calculator.compute(10, DECIMAL)
    with pytest.raises(FrozenInstanceError):
        computation.n = 11  # type: ignore[misc]


async def test_every_observer_sees_every_answer_once_and_in_order(bench: Bench) -> None:
    answers = [await bench.calculator.compute(n, DECIMAL) for n in (10, 20, 10)]

    assert bench.observed == answers
    assert bench.observed_too == answers


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

    assert bench.observed == []


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
    assert [computation.n for computation in bench.observed] == [3, 10]


async def test_the_same_number_in_a_batch_is_computed_once_and_answered_each_time(bench: Bench) -> None:
    await bench.calculator.compute_each([(500, DECIMAL)] * 5)

    assert [computation.cached for computation in bench.observed] == [False, True, True, True, True]
    assert len({computation.encoded.data for computation in bench.observed}) == 1


async def test_an_empty_batch_has_no_outcomes(bench: Bench) -> None:
    assert await bench.calculator.compute_each([]) == []


async def test_a_batch_of_as_many_items_as_allowed_is_answered(bench: Bench) -> None:
    assert len(await bench.calculator.compute_each([(1, DECIMAL)] * MAX_BATCH_ITEMS)) == MAX_BATCH_ITEMS


async def test_a_batch_of_one_item_more_is_refused_before_anything_is_computed(bench: Bench) -> None:
    with pytest.raises(BatchTooLarge) as caught:
        await bench.calculator.compute_each([(1, DECIMAL)] * (MAX_BATCH_ITEMS + 1))

    assert (caught.value.size, caught.value.limit, caught.value.unit) == (MAX_BATCH_ITEMS + 1, MAX_BATCH_ITEMS, "items")
    assert bench.observed == []


async def test_a_batch_is_refused_for_the_bytes_it_would_answer(bench: Bench) -> None:
    fitting = MAX_BATCH_BYTES // predicted_bytes(MAX_INDEX, DECIMAL)
    with pytest.raises(BatchTooLarge) as caught:
        await bench.calculator.compute_each([(MAX_INDEX, DECIMAL)] * (fitting + 1))

    assert caught.value.limit == MAX_BATCH_BYTES < caught.value.size
    assert bench.observed == []
    assert len(await bench.calculator.compute_each([(MAX_INDEX, DECIMAL)] * fitting)) == fitting


async def test_items_that_will_be_refused_add_no_bytes_to_a_batch(bench: Bench) -> None:
    outcomes = await bench.calculator.compute_each([(2**31 - 1, DECIMAL), (-(2**31), DECIMAL), (10, DECIMAL)])

    assert [type(outcome) for outcome in outcomes] == [IndexTooLarge, IndexNegative, Computation]
