"""How often a client may ask, in the notation of the library limits: `100/second,5000/minute`."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limits import RateLimitItem

#: Each one costs every request its time.
MAX_RATES = 4
MAX_REQUESTS = 1_000_000_000
MAX_WINDOW_SECONDS = 366 * 24 * 3600

_SEPARATOR = re.compile(r"[,;|]")


def parse_rates(text: str) -> tuple["RateLimitItem", ...]:
    """The rates, shortest window first. Raises ValueError."""
    from limits import parse_many  # noqa: PLC0415 - it takes 60 ms and 3 MB, which only a gateway with limits spends

    try:
        rates = sorted(parse_many(text), key=lambda rate: rate.get_expiry())
    except ValueError:
        rates = []
    if len(rates) != len(_SEPARATOR.split(text)):  # limits passes over some of what it cannot read
        raise ValueError("is not written like 100/second,5000/minute")
    if len(rates) > MAX_RATES:
        raise ValueError(f"has {len(rates)} rates; there may be {MAX_RATES}")
    for rate in rates:
        _check(rate)
    if len({rate.get_expiry() for rate in rates}) < len(rates):
        raise ValueError("has two rates for the same time")
    return tuple(rates)


def rate_name(rate: "RateLimitItem") -> str:
    """As it is written in the setting: `100/second`, `500/5minute`."""
    times = "" if rate.multiples == 1 else rate.multiples
    return f"{rate.amount}/{times}{rate.GRANULARITY.name}"


def _check(rate: "RateLimitItem") -> None:
    if not 1 <= rate.amount <= MAX_REQUESTS:
        raise ValueError(f"{rate_name(rate)} has to allow 1 to {MAX_REQUESTS} requests")
    if rate.get_expiry() > MAX_WINDOW_SECONDS:
        raise ValueError(f"{rate_name(rate)} is for more than {MAX_WINDOW_SECONDS} seconds")
