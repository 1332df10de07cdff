"""Answers about numbers too long to be written out: residues, descriptions, and what computing them would cost."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from fibonacci_service.description import Description, describe
from fibonacci_service.flights import Flights
from fibonacci_service.numerals import parse_numeral
from fibonacci_service.observations import Observer, Operation
from fibonacci_service.price import Price
from fibonacci_service.sequence import residue
from fibonacci_service.worker_pool import WorkerPool

RESIDUE_MAX_DIGITS = 1_000
DESCRIBE_MAX_DIGITS = 100
#: Up to this product of the bits of the index and of the modulus a residue takes less than a millisecond.
INLINE_MAX_BITS = 1 << 18
#: So much takes a larger one for each unit of the product, and a measurement.
_SECONDS_PER_SQUARE_BIT = 3.5e-9
_MEASUREMENT_SECONDS = 0.035
#: The longest value that one message carries.
UNARY_MAX_BYTES = 1 << 20

#: GetFib, StreamFib, or neither.
Way = Literal["unary", "stream", ""]


@dataclass(frozen=True, slots=True)
class Appraisal:
    """What is known of one number, what it would take to compute it anew, and which way to ask for it."""

    description: Description
    predicted_seconds: float
    predicted_bytes: float
    way: Way
    max_index: int


class Appraiser:
    """Reads indices as text. Prices are those of this machine, measured in a worker when the first one is asked for."""

    def __init__(self, *, pool: WorkerPool, max_index: int, observers: Sequence[Observer]) -> None:
        self._pool = pool
        self._max_index = max_index
        self._observers = observers
        self._price: Price | None = None
        self._measurements: Flights[str, Price] = Flights()

    async def residue(self, n: str, modulus: str) -> str:
        """F(n) modulo a number, in decimal digits like both operands.

        Raises NumeralMalformed, NumeralTooLong or NumeralTooSmall; WorkersBusy or WorkerLost where it is dear.
        """
        index = parse_numeral(n, field="n", max_digits=RESIDUE_MAX_DIGITS)
        divisor = parse_numeral(modulus, field="modulus", max_digits=RESIDUE_MAX_DIGITS, least=1)
        bits = index.bit_length() * divisor.bit_length()
        if bits <= INLINE_MAX_BITS:
            answer = str(residue(index, divisor))
        else:
            self._pool.step_aside()
            digits, _ = await self._pool.whole("residue", seconds=bits * _SECONDS_PER_SQUARE_BIT, n=n, modulus=modulus)
            answer = digits.decode()
        self._observe(Operation.RESIDUE)
        return answer

    async def describe(self, n: str) -> Appraisal:
        """Raises NumeralMalformed or NumeralTooLong; WorkersBusy or WorkerLost while there is no price."""
        index = parse_numeral(n, field="n", max_digits=DESCRIBE_MAX_DIGITS)
        price = await self.price()
        description = describe(index)
        way = self._way(index, description.digit_count)
        self._observe(Operation.DESCRIPTION)
        return Appraisal(description, price.seconds(index), price.bytes(index), way, self._max_index)

    async def price(self) -> Price:
        """Measures when there is no price yet, once for all who wait. Raises WorkersBusy or WorkerLost."""
        if self._price is None:
            self._pool.step_aside()
            self._price, _ = await self._measurements.join("price", self._measured)
        return self._price

    async def _measured(self) -> Price:
        points, _ = await self._pool.whole("measure", seconds=_MEASUREMENT_SECONDS)
        return Price(tuple((n, seconds) for n, seconds in json.loads(points)))

    def _observe(self, operation: Operation) -> None:
        for observer in self._observers:
            observer.record_operation(operation)

    def _way(self, n: int, digit_count: int) -> Way:
        if n > self._max_index:
            return ""
        return "unary" if digit_count <= UNARY_MAX_BYTES else "stream"
