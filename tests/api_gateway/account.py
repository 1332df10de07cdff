"""What the account says once all that was asked is in it."""

import asyncio
from typing import Any

import httpx


async def account_of(client: httpx.AsyncClient, *, total: int, query: str = "") -> dict[str, Any]:
    """What /stats answers once everything so far was recorded."""
    async with asyncio.timeout(20):
        while True:
            response = await client.get(f"/stats{query}")
            assert response.status_code == 200
            account: dict[str, Any] = response.json()
            assert account["total_requests"] <= total
            if account["total_requests"] == total:
                return account
