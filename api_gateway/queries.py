"""Query parameters, read strictly: what is not plainly one number is refused, never guessed at."""

import re
from collections.abc import Callable
from typing import Annotated, Literal, get_args

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

INT32_MAX = 2**31 - 1
MAX_PAGE_SIZE = 1_000
MAX_BATCH_ITEMS = 1_000
MAX_PAGE_TOKEN = 200
#: Plain digits: no sign, no leading zeros.
NUMERAL = r"^(0|[1-9][0-9]*)$"
POSITIVE_NUMERAL = r"^[1-9][0-9]*$"
#: What stands in a URL as it is.
PAGE_TOKEN = r"^[A-Za-z0-9._~=-]+$"  # noqa: S105 - the form of a token is no secret

# int() and pydantic also take " 10", "+10", "1_0", "010", "-0" and the digits of every script.
_PLAIN = re.compile(r"0|[1-9][0-9]{0,18}")
_NUMERAL = re.compile(NUMERAL)
_DECIMAL = re.compile(r"(0|[1-9][0-9]{0,8})(\.[0-9]{1,18})?")
_PAGE_TOKEN = re.compile(PAGE_TOKEN)


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


def plain_index(least: int = 0) -> Callable[[object], int]:
    """Reads a number like `plain_integer`. How large it may be a service says, whose bound is below that of int32."""

    def read(text: object) -> int:
        number = _int32(text) if isinstance(text, str) and _NUMERAL.fullmatch(text) else -1
        if number < least:
            allowed = "must be a whole number, {least} or more, in plain digits"
            raise PydanticCustomError("plain_index", allowed, {"least": least})
        return answerable(number)

    return read


def _int32(digits: str) -> int:
    """The number, or one that is beyond int32 too."""
    return int(digits) if len(digits) <= len(str(INT32_MAX)) else INT32_MAX + 1


def answerable(number: int) -> int:
    """Lets pass what a service can be asked."""
    if number > INT32_MAX:
        raise PydanticCustomError(
            "too_large", "must be at most {most}, and a service may allow less", {"most": INT32_MAX}
        )
    return number


def plain_numeral(max_digits: int, *, positive: bool = False) -> Callable[[str], str]:
    """Lets ASCII digits pass as the text that they are."""

    def read(text: str) -> str:
        if len(text) > max_digits:
            raise PydanticCustomError("too_long", "must have at most {most} digits", {"most": max_digits})
        if not _NUMERAL.fullmatch(text):
            raise PydanticCustomError("no_numeral", "must be plain decimal digits without sign or leading zeros")
        if positive and text == "0":
            raise PydanticCustomError("not_positive", "must be 1 or more, not 0")
        return text

    return read


def plain_decimal(least: float, most: float) -> Callable[[object], float]:
    """Reads ASCII digits, with a point among them or without one, as a number within bounds."""

    def read(text: object) -> float:
        number = float(text) if isinstance(text, str) and _DECIMAL.fullmatch(text) else -1
        if not least <= number <= most:
            allowed = "must be a plain decimal number from {least} to {most}"
            raise PydanticCustomError("plain_decimal", allowed, {"least": f"{least:g}", "most": f"{most:g}"})
        return number

    return read


def one_of(choices: tuple[str, ...]) -> Callable[[object], object]:
    """Lets one of a few words pass."""

    def read(text: object) -> object:
        if text not in choices:
            raise PydanticCustomError("one_of", "must be one of {choices}", {"choices": ", ".join(choices)})
        return text

    return read


def page_token(text: str) -> str:
    """Lets pass what could be a page token; whether it is one, only stats_service knows."""
    if len(text) > MAX_PAGE_TOKEN or not _PAGE_TOKEN.fullmatch(text):
        raise PydanticCustomError("page_token", "must be the next_page_token of the page before")
    return text


def json_index(number: object) -> int:
    """Reads a number of a JSON document, in which 10.0 and true are none."""
    if type(number) is not int or number < 0:
        raise PydanticCustomError("json_index", "must be a whole number, 0 or more")
    return answerable(number)


def batch_of(items: object) -> list[object]:
    """A list of as many items as a batch may have."""
    if not isinstance(items, list):
        raise PydanticCustomError("no_list", "must be a JSON list of whole numbers, 0 or more")
    if not 1 <= len(items) <= MAX_BATCH_ITEMS:
        allowed = "must have from 1 to {most} items, not {count}"
        raise PydanticCustomError("batch_size", allowed, {"most": MAX_BATCH_ITEMS, "count": len(items)})
    return items


Index = Annotated[int, Field(ge=0, le=INT32_MAX), BeforeValidator(plain_index())]
BodyIndex = Annotated[int, Field(ge=0, le=INT32_MAX), BeforeValidator(json_index)]
Indices = Annotated[list[Index], Field(min_length=1, max_length=MAX_BATCH_ITEMS), BeforeValidator(batch_of)]
BodyIndices = Annotated[list[BodyIndex], Field(min_length=1, max_length=MAX_BATCH_ITEMS), BeforeValidator(batch_of)]
LongNumeral = Annotated[str, Field(max_length=1_000, pattern=NUMERAL), BeforeValidator(plain_numeral(1_000))]
LongPositiveNumeral = Annotated[
    str, Field(max_length=1_000, pattern=POSITIVE_NUMERAL), BeforeValidator(plain_numeral(1_000, positive=True))
]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), BeforeValidator(plain_integer(1, MAX_PAGE_SIZE))]
PageToken = Annotated[str, Field(max_length=MAX_PAGE_TOKEN, pattern=PAGE_TOKEN), BeforeValidator(page_token)]
OrderName = Literal["busiest", "least_busy", "n", "n_descending"]
Interval = Annotated[float, Field(ge=0.1, le=60), BeforeValidator(plain_decimal(0.1, 60))]
Numeral = Annotated[str, Field(max_length=100, pattern=NUMERAL), BeforeValidator(plain_numeral(100))]


class FibonacciQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: Index = Field(description="The index. fibonacci_service sets the largest that is answered.")


class BatchQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: Indices = Field(description="The indices, in any order.")


class RangeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    start: Index = Field(0, description="The first index.")
    count: Annotated[int, Field(ge=1, le=INT32_MAX), BeforeValidator(plain_index(1))] = Field(
        description="How many numbers. fibonacci_service sets the largest index that a range may reach."
    )


class ResidueQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: LongNumeral = Field(description="The index, of up to 1,000 digits.")
    modulus: LongPositiveNumeral = Field(description="At least 1, of up to 1,000 digits.")


class DescribeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    n: Numeral = Field(description="The index, of up to 100 digits.")


class StatsQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: PageSize = Field(100, description="How many numbers are listed.")
    order: Annotated[OrderName, BeforeValidator(one_of(get_args(OrderName)))] = Field(
        "busiest", description="Which come first. Among equally busy numbers the smaller, or for least_busy the larger."
    )
    page_token: PageToken | None = Field(
        None, description="The next_page_token of the page before, which was asked for in the same order."
    )


class WatchQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    interval: Interval = Field(1, description="The least time between two events, in seconds.")


class NoQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def refuse_repeated_parameters(request: Request) -> None:
    """Of `n=1&n=2` FastAPI would take the last and not say so."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name in seen:
            raise RequestValidationError([{"type": "repeated", "loc": ("query", name), "msg": "must be given once"}])
        seen.add(name)
