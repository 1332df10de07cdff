"""Query parameters, read strictly: what is not plainly one number is refused, never guessed at."""

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

INT32_MAX = 2**31 - 1
MAX_PAGE_SIZE = 1_000
MAX_BATCH_ITEMS = 1_000
#: Plain digits: no sign, no leading zeros.
NUMERAL = r"^(0|[1-9][0-9]*)$"

# int() and pydantic also take " 10", "+10", "1_0", "010", "-0" and the digits of every script.
_PLAIN = re.compile(r"0|[1-9][0-9]{0,18}")


def plain_integer(least: int, most: int) -> Callable[[object], int]:
    """Reads ASCII digits without sign, spaces or leading zeros as a number within bounds."""

    def read(text: object) -> int:
        number = int(text) if isinstance(text, str) and _PLAIN.fullmatch(text) else -1
        if not least <= number <= most:
            raise PydanticCustomError(
                "plain_integer",
                "must be a whole number from {least} to {most} in plain digits",
                {"least": least, "most": most},
            )
        return number

    return read


Index = Annotated[int, Field(ge=0, le=INT32_MAX), BeforeValidator(plain_integer(0, INT32_MAX))]


class FibonacciQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: Index = Field(description="The index. fibonacci_service sets the largest that is answered.")


class BatchQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: list[Index] = Field(min_length=1, max_length=MAX_BATCH_ITEMS, description="The indices, in any order.")


class RangeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: Index = Field(0, description="The first index.")
    count: Annotated[int, Field(ge=1, le=INT32_MAX), BeforeValidator(plain_integer(1, INT32_MAX))] = Field(
        description="How many numbers. fibonacci_service sets the largest index that a range may reach."
    )


class ResidueQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: str = Field(max_length=1_000, pattern=NUMERAL, description="The index, of up to 1,000 digits.")
    modulus: str = Field(max_length=1_000, pattern=NUMERAL, description="At least 1, of up to 1,000 digits.")


class DescribeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: str = Field(max_length=100, pattern=NUMERAL, description="The index, of up to 100 digits.")


class StatsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), BeforeValidator(plain_integer(1, MAX_PAGE_SIZE))] = Field(
        100, description="How many of the busiest numbers are listed."
    )


class NoQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def refuse_repeated_parameters(request: Request) -> None:
    """Of `n=1&n=2` FastAPI would take the last and not say so."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise RequestValidationError([{"type": "repeated", "loc": ("query", name), "msg": "must be given once"}])
        seen.add(name)
