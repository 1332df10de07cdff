import asyncio
from collections.abc import AsyncIterator
from typing import Any

import gmpy2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fibonacci_service.appraisals import DESCRIBE_MAX_DIGITS, INLINE_MAX_BITS, RESIDUE_MAX_DIGITS, Appraiser, Way
from fibonacci_service.description import describe
from fibonacci_service.errors import FibonacciError, NumeralMalformed, NumeralTooLong, NumeralTooSmall, WorkersBusy
from fibonacci_service.observations import Operation
from fibonacci_service.sequence import residue
from fibonacci_service.worker_pool import WorkerPool
from tests.fibonacci_service.doubling import number_modulo
from tests.fibonacci_service.observing import Observed

MAX_INDEX = 10_000_000
#: The largest index whose number has at most 1 MiB of decimal digits.
LAST_UNARY = 5_017_408


class ObservedPool(WorkerPool):
    """A real pool that remembers the tasks it was given, and refuses the first `refusals` of them."""

    def __init__(self, *, refusals: int = 0) -> None:
        super().__init__(size=1, max_queued_seconds=1_000, memory_bytes=1 << 30)
        self.tasks: list[str] = []
        self._refusals = refusals

    async def whole(self, name: str, **task: Any) -> tuple[bytes, bytes]:
        self.tasks.append(name)
        if len(self.tasks) <= self._refusals:
            raise WorkersBusy(0.5)
        return await super().whole(name, **task)


@pytest.fixture
async def pool() -> AsyncIterator[ObservedPool]:
    async with ObservedPool() as pool:
        yield pool


@pytest.fixture
def observed() -> Observed:
    return Observed()


@pytest.fixture
def appraiser(pool: ObservedPool, observed: Observed) -> Appraiser:
    return Appraiser(pool=pool, max_index=MAX_INDEX, observers=[observed])


@given(n=st.integers(0, 2_000), modulus=st.integers(1, 10**30))
@settings(deadline=None)
def test_residues_of_small_indices_are_those_of_the_numbers(n: int, modulus: int) -> None:
    assert residue(n, modulus) == gmpy2.fib(n) % modulus


@given(n=st.integers(0, 10**1000 - 1), modulus=st.integers(1, 10**60))
@settings(deadline=None)
def test_residues_agree_with_plain_doubling(n: int, modulus: int) -> None:
    assert residue(n, modulus) == number_modulo(n, modulus)


@given(n=st.integers(0, 10**100), power=st.integers(3, 40))
@settings(deadline=None)
def test_residues_return_after_the_pisano_period(n: int, power: int) -> None:
    assert residue(n + 15 * 10 ** (power - 1), 10**power) == residue(n, 10**power)
    assert residue(n + 4 * 5**power, 5**power) == residue(n, 5**power)
    assert residue(n + 3 * 2 ** (power - 1), 2**power) == residue(n, 2**power)


@pytest.mark.parametrize("modulus", [1, 2, 10, 97, 2**64, 10**20, 10**60 + 7])
async def test_a_residue_of_ten_million_is_that_of_the_number(appraiser: Appraiser, modulus: int) -> None:
    assert await appraiser.residue("10000000", f"{modulus}") == f"{gmpy2.fib(10_000_000) % modulus}"


async def test_a_quick_residue_needs_no_worker_and_a_dear_one_gives_the_same(
    appraiser: Appraiser, pool: ObservedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = await appraiser.residue("9" * 100, "1" + "0" * 50)
    assert pool.tasks == []

    monkeypatch.setattr("fibonacci_service.appraisals.INLINE_MAX_BITS", 0)
    assert await appraiser.residue("9" * 100, "1" + "0" * 50) == quick
    assert pool.tasks == ["residue"]


@pytest.mark.parametrize(("n", "tasks"), [(2**511, []), (2**512, ["residue"])], ids=["at it", "beyond it"])
async def test_a_residue_is_quick_up_to_a_product_of_bits(
    appraiser: Appraiser, pool: ObservedPool, n: int, tasks: list[str]
) -> None:
    modulus = 2**511 + 1
    assert 512 * modulus.bit_length() == INLINE_MAX_BITS

    assert await appraiser.residue(f"{n}", f"{modulus}") == f"{number_modulo(n, modulus)}"
    assert pool.tasks == tasks


async def test_the_longest_operands_are_a_workers(appraiser: Appraiser, pool: ObservedPool) -> None:
    n, modulus = 10**RESIDUE_MAX_DIGITS - 1, 10**RESIDUE_MAX_DIGITS - 7
    assert n.bit_length() * modulus.bit_length() > INLINE_MAX_BITS

    assert await appraiser.residue(f"{n}", f"{modulus}") == f"{number_modulo(n, modulus)}"
    assert pool.tasks == ["residue"]


@pytest.mark.parametrize(
    ("n", "modulus", "error", "field"),
    [
        ("-1", "10", NumeralMalformed, "n"),
        ("", "10", NumeralMalformed, "n"),
        ("9" * (RESIDUE_MAX_DIGITS + 1), "10", NumeralTooLong, "n"),
        ("10", "010", NumeralMalformed, "modulus"),
        ("10", "9" * (RESIDUE_MAX_DIGITS + 1), NumeralTooLong, "modulus"),
        ("10", "0", NumeralTooSmall, "modulus"),
    ],
)
async def test_a_residue_of_bad_operands_is_refused(
    appraiser: Appraiser, n: str, modulus: str, error: type[FibonacciError], field: str
) -> None:
    with pytest.raises(error) as caught:
        await appraiser.residue(n, modulus)

    assert caught.value.field == field


async def test_an_answered_residue_is_one_operation_wherever_it_was_computed(
    appraiser: Appraiser, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    await appraiser.residue("10", "7")
    assert observed == Observed(operations=[Operation.RESIDUE])

    monkeypatch.setattr("fibonacci_service.appraisals.INLINE_MAX_BITS", 0)
    await appraiser.residue("10", "7")
    assert observed == Observed(operations=[Operation.RESIDUE] * 2)


async def test_an_answered_description_is_one_operation_and_a_price_or_a_refusal_is_none(
    appraiser: Appraiser, observed: Observed
) -> None:
    await appraiser.price()
    for refused in (appraiser.residue("10", "0"), appraiser.describe("x")):
        with pytest.raises(FibonacciError):
            await refused
    assert observed == Observed()

    await appraiser.describe("10")
    assert observed == Observed(operations=[Operation.DESCRIPTION])


@pytest.mark.parametrize(("n", "error"), [("x", NumeralMalformed), ("9" * (DESCRIBE_MAX_DIGITS + 1), NumeralTooLong)])
async def test_a_description_of_a_bad_index_is_refused_before_anything_is_measured(
    appraiser: Appraiser, pool: ObservedPool, n: str, error: type[FibonacciError]
) -> None:
    with pytest.raises(error) as caught:
        await appraiser.describe(n)

    assert caught.value.field == "n"
    assert pool.tasks == []


@pytest.mark.parametrize(
    ("n", "way"),
    [
        (0, "unary"),
        (LAST_UNARY, "unary"),
        (LAST_UNARY + 1, "stream"),
        (MAX_INDEX, "stream"),
        (MAX_INDEX + 1, ""),
        (10**DESCRIBE_MAX_DIGITS - 1, ""),
    ],
)
async def test_an_appraisal_tells_the_number_its_cost_and_the_way_to_it(appraiser: Appraiser, n: int, way: Way) -> None:
    appraisal = await appraiser.describe(f"{n}")

    price = await appraiser.price()
    assert appraisal.description == describe(n)
    assert (appraisal.predicted_seconds, appraisal.predicted_bytes) == (price.seconds(n), price.bytes(n))
    assert appraisal.way == way


async def test_the_way_ends_at_the_limit_even_where_a_message_would_hold_the_number(pool: ObservedPool) -> None:
    assert (await Appraiser(pool=pool, max_index=92, observers=[]).describe("93")).way == ""


def test_the_last_number_that_fits_one_message_has_a_mebibyte_of_digits() -> None:
    for n, digits in ((LAST_UNARY, 1 << 20), (LAST_UNARY + 1, (1 << 20) + 1)):
        assert describe(n).digit_count == len(gmpy2.fib(n).digits()) == digits


async def test_the_machine_is_measured_once_for_all_who_ask(appraiser: Appraiser, pool: ObservedPool) -> None:
    await asyncio.gather(*(appraiser.describe(f"{n}") for n in range(20)))
    await appraiser.describe("20")

    assert pool.tasks == ["measure"]


async def test_a_measurement_that_was_refused_is_tried_again() -> None:
    async with ObservedPool(refusals=1) as pool:
        observed = Observed()
        appraiser = Appraiser(pool=pool, max_index=MAX_INDEX, observers=[observed])
        with pytest.raises(WorkersBusy):
            await appraiser.describe("7")

        assert (await appraiser.describe("7")).description.leading_digits == "13"
        assert pool.tasks == ["measure", "measure"]
        assert observed == Observed(operations=[Operation.DESCRIPTION])  # the one that was answered
