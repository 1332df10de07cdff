"""What the HTTP API answers with."""

from datetime import datetime

from pydantic import BaseModel, Field


class FibonacciNumber(BaseModel):
    n: int = Field(description="The index.")
    x: int | None = Field(
        None, description="F(n) as a number while it fits a signed 64-bit integer (n <= 92), else absent."
    )
    value: str = Field(description="F(n), exact, in decimal digits.")


class FibonacciNumbers(BaseModel):
    numbers: list[FibonacciNumber] = Field(description="As many as were asked for, in their order.")


class Residue(BaseModel):
    n: str = Field(description="The index, in decimal digits.")
    modulus: str = Field(description="The modulus, in decimal digits.")
    residue: str = Field(description="F(n) modulo the modulus, in decimal digits.")


class Prediction(BaseModel):
    seconds: float = Field(description="What a new computation in decimal digits is predicted to take here.")
    memory_bytes: float = Field(description="What it is predicted to need at its peak.")


class FibonacciDescription(BaseModel):
    n: str = Field(description="The index, in decimal digits.")
    digit_count: str = Field(description="How many decimal digits F(n) has, in decimal digits.")
    bit_count: str = Field(description="How many bits F(n) has, in decimal digits.")
    leading_digits: str = Field(description="The first 20 digits of F(n), or all of them.")
    trailing_digits: str = Field(description="The last 20 digits of F(n), or all of them.")
    predicted: Prediction
    url: str | None = Field(None, description="Where the whole number is; absent where n is above the limit.")
    max_n: int = Field(description="The largest index that is written out.")


class Measures(BaseModel):
    """What happened to one number, or to many together; stats_json.py makes it."""

    request_count: int = Field(description="Requests that were answered.")
    average_time_ms: float = Field(description="Their mean time inside fibonacci_service, in milliseconds.")
    min_time_ms: float = Field(description="The shortest of those times.")
    max_time_ms: float = Field(description="The longest of those times.")
    cache_hits: int = Field(description="Those that the cache answered.")
    cache_misses: int = Field(description="Those that were computed.")
    coalesced: int = Field(description="Those that shared a computation which another request had begun.")
    errors: dict[str, int] = Field(
        description="Well-formed requests that got no answer, by what kept it from them: workers_busy, worker_lost, "
        "cancelled, internal; kind_17 is one that is newer than this release. Those that did not happen are absent."
    )
    p50_time_ms: float | None = Field(description="Half of the times are at most this, give or take 1/16.")
    p90_time_ms: float | None = Field(description="Nine in ten are.")
    p99_time_ms: float | None = Field(
        description="Ninety-nine in a hundred are. The three are null where no histogram is kept: it is for the 10,000 "
        "busiest numbers."
    )
    first_seen: datetime | None = Field(description="When the first request was made; null where it is not known.")
    last_seen: datetime | None = Field(description="When the last one was.")


class NumberStats(Measures):
    """What happened to one number."""

    n: int = Field(description="The index.")


class TotalStats(Measures):
    """What happened to all numbers together."""

    numbers: int = Field(
        description="How many numbers have a row of their own; above 10,000 as they were up to 10 s ago."
    )
    operations: dict[str, int] = Field(
        description="Uses that are answered with no single number: range, residue, description. They are no requests "
        "for any n, and those that did not happen are absent."
    )
    folded: Measures | None = Field(
        description="The least used numbers, which share this one row because there were too many; null where every "
        "number has its own."
    )


class StatsChanges(BaseModel):
    """The data of one event of /stats/stream."""

    total_requests: int = Field(description="Requests that were answered, over every n.")
    total_cache_hits: int = Field(description="Those that the cache answered.")
    totals: TotalStats
    fibonacci_stats: list[NumberStats] = Field(description="One row for each number.")


class Stats(StatsChanges):
    """One page of the account."""

    next_page_token: str | None = Field(description="Asks for the page behind this one; null where it is the last.")


class MinuteStats(BaseModel):
    start_time: datetime = Field(description="The beginning of the minute.")
    request_count: int = Field(description="Requests that were answered.")
    average_time_ms: float = Field(description="Their mean time inside fibonacci_service, in milliseconds.")
    cache_hits: int = Field(description="Those that the cache answered.")
    coalesced: int = Field(description="Those that shared a computation which another request had begun.")
    errors: int = Field(description="Well-formed requests that got no answer.")


class Minutes(BaseModel):
    minutes: list[MinuteStats] = Field(
        description="Those of the last 24 hours in which anything happened, the oldest first."
    )


class Liveness(BaseModel):
    status: str = Field(description='"alive"')


class Readiness(BaseModel):
    status: str = Field(description='"ready"')
    fibonacci_service: bool = Field(description="Whether fibonacci_service is connected; /fib needs it.")
    stats_service: bool = Field(description="Whether stats_service is connected; only /stats needs it.")


class FieldError(BaseModel):
    field: str
    detail: str


class Problem(BaseModel):
    """An error after RFC 9457."""

    type: str
    title: str
    status: int
    detail: str | None = None
    errors: list[FieldError] | None = None
    request_id: str
