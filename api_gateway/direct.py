"""Answers the plain requests of a route without the work that FastAPI does for any request.

Nothing is written twice: the route's own validator reads the parameters, and its endpoint makes the answer. What is
not plain goes the ordinary way, and so does whatever will be refused there.
"""

import re
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from api_gateway.queries import refuse_repeated_parameters

#: Query strings of which it is remembered what they mean; to find it out takes 8 us.
MAX_REMEMBERED = 1_024
#: A longer query string is not plain.
MAX_QUERY_BYTES = 64

_PLAIN = re.compile(r"\w+=[\w.~-]+(?:&\w+=[\w.~-]+)*", re.ASCII)
_BODY = frozenset({b"content-length", b"transfer-encoding"})


class DirectRoute(APIRoute):
    """The route of a GET that takes one model of query parameters and the request, and returns a Response."""


class DirectRoutes:
    """An app with its direct routes in front of it. What both ways need belongs in a layer around this one."""

    def __init__(self, app: FastAPI) -> None:
        """Raises ValueError where a direct route takes what only FastAPI provides."""
        self._app = app
        self._routes = {
            str(route.path): _PlainRequests(route.dependant)
            for route in iter_route_contexts(app.routes)
            if isinstance(route.original_route, DirectRoute)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"])
        query = route.read(scope) if route else None
        if route is None or query is None:
            await self._app(scope, receive, send)
            return
        response = await route.answer(query, Request(scope, receive))
        await response(scope, receive, send)


class _PlainRequests:
    """The requests of one route that need nothing but their query string read."""

    def __init__(self, dependant: Dependant) -> None:
        only_fastapi = _only_fastapi_provides(dependant)
        if only_fastapi or len(dependant.query_params) != 1 or dependant.request_param_name is None:
            raise ValueError(f"GET {dependant.path} cannot be direct: {only_fastapi}")
        self._field = dependant.query_params[0]
        self._request_name = dependant.request_param_name
        self._endpoint = cast("Callable[..., Awaitable[Response]]", dependant.call)
        self._meaning = lru_cache(MAX_REMEMBERED)(self._validated)

    def read(self, scope: Scope) -> BaseModel | None:
        """The parameters of a plain request; None for any other."""
        query_string = scope["query_string"]
        if scope["method"] != "GET" or len(query_string) > MAX_QUERY_BYTES:
            return None
        for name, _ in scope["headers"]:
            if name in _BODY:
                return None
        return self._meaning(query_string)

    def answer(self, query: BaseModel, request: Request) -> Awaitable[Response]:
        return self._endpoint(**{self._field.name: query, self._request_name: request})

    def _validated(self, query_string: bytes) -> BaseModel | None:
        text = query_string.decode("latin-1")
        parameters = parse_qsl(text)
        values = dict(parameters)
        if not _PLAIN.fullmatch(text) or len(values) < len(parameters):
            return None
        query, errors = self._field.validate(values, {}, loc=("query",))
        return None if errors else cast("BaseModel", query)


def _only_fastapi_provides(dependant: Dependant) -> list[object]:
    fields = (*dependant.path_params, *dependant.header_params, *dependant.cookie_params, *dependant.body_params)
    dependencies = (dependency.call for dependency in dependant.dependencies)
    return [*fields, *(call for call in dependencies if call is not refuse_repeated_parameters)]
