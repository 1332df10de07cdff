"""What the HTTP API answers with."""

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


class NumberStats(BaseModel):
    n: int = Field(description="The index.")
    request_count: int = Field(description="Requests that were answered.")
    average_time_ms: float = Field(description="Their mean time inside fibonacci_service, in milliseconds.")
    min_time_ms: float = Field(description="The shortest of those times.")
    max_time_ms: float = Field(description="The longest of those times.")
    cache_hits: int = Field(description="Those that the cache answered.")


class Stats(BaseModel):
    total_requests: int = Field(description="Requests that were answered, over every n.")
    total_cache_hits: int = Field(description="Those that the cache answered.")
    fibonacci_stats: list[NumberStats] = Field(description="The busiest numbers, the busiest first.")


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
