"""Keeps caches from storing an answer, whatever it is."""

from fastapi.routing import APIRoute
from starlette.types import Message, Receive, Scope, Send

HEADER = (b"cache-control", b"no-store")


class NoStoreRoute(APIRoute):
    """A cache may keep a 404 unless it is told not to, so the problems of such a route say so too."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], HEADER]
            await send(message)

        await super().handle(scope, receive, send_marked)
