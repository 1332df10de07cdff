"""Ends work that nobody waits for any more: ASGI does not cancel a handler whose client goes away."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive, Scope

from api_gateway.errors import ClientGone
from api_gateway.request_facts import note_error

T = TypeVar("T")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of the work, which is cancelled when the client goes away first. Raises ClientGone then."""
    working = asyncio.create_task(work)
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait((working, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        gone.cancel()
        await asyncio.wait((working, gone))
    if working.cancelled():
        gone.result()  # an error of the request itself, such as a body that is too long
        raise ClientGone
    return working.result()


async def send_while_connected(scope: Scope, receive: Receive, sending: Coroutine[Any, Any, None]) -> None:
    """Sends an answer, as long as somebody is there to take it."""
    try:
        await while_connected(receive, sending)
    except ClientGone as error:
        note_error(scope, error)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
