"""Refuses a client that asks more often than it may, and tells every client what it may still ask.

In the fields of draft-ietf-httpapi-ratelimit-headers: the name of a policy is the rate as the setting writes it.
"""

import math
import time
from collections.abc import Callable, Sequence

from limits import RateLimitItem
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from api_gateway.errors import RateLimited
from api_gateway.http_counts import HttpCounts
from api_gateway.middleware import PROBED
from api_gateway.rates import rate_name
from api_gateway.request_facts import add_fields


class RateLimitLayer:
    """Pure ASGI, inside the layer that makes an answer of RateLimited.

    `client_of` tells whose requests are counted together. `storage` is any of the library's that counts by sliding
    windows; one that several gateways share gives a client the same limits at all of them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        counts: HttpCounts,
        rates: Sequence[RateLimitItem],
        client_of: Callable[[Scope], str],
        storage: Storage,
    ) -> None:
        """The shortest window comes first: what its rate refuses is not counted by those of the longer ones."""
        self._app = app
        self._counts = counts
        self._rates = {rate_name(rate): rate for rate in rates}
        self._client_of = client_of
        self._limiter = SlidingWindowCounterRateLimiter(storage)
        self._policy = ", ".join(
            f'"{name}";q={rate.amount};w={rate.get_expiry()}' for name, rate in self._rates.items()
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in PROBED:
            await self._app(scope, receive, send)
            return
        client = self._client_of(scope)
        exceeded = await self._exceeded(client)
        limit, wait_seconds = await self._left(client)
        add_fields(scope, (b"ratelimit", limit.encode()), (b"ratelimit-policy", self._policy.encode()))
        if exceeded:
            self._counts.refused.count("rate_limit", client=client)
            raise RateLimited(exceeded, retry_after_seconds=wait_seconds)
        await self._app(scope, receive, send)

    async def _exceeded(self, client: str) -> str | None:
        """Counts the request, and names the first rate that has no room for it."""
        for name, rate in self._rates.items():
            if not await self._limiter.hit(rate, client):
                return name
        return None

    async def _left(self, client: str) -> tuple[str, int]:
        """What is left of each rate, as the field RateLimit, and in how many seconds there is room in all of them."""
        items, wait_seconds = [], 1
        for name, rate in self._rates.items():
            more_at, remaining = await self._limiter.get_window_stats(rate, client)
            seconds = max(0, math.ceil(more_at - time.time()))
            items.append(f'"{name}";r={remaining};t={seconds}')
            if remaining == 0:
                wait_seconds = max(wait_seconds, seconds)
        return ", ".join(items), wait_seconds
