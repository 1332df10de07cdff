"""Injects faults into the HTTP answers of the gateway, where its settings say so."""

import asyncio
from typing import Any, assert_never

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api_gateway.http_protocol import BoundedProtocol
from api_gateway.middleware import PROBED
from api_gateway.problems import problem
from api_gateway.request_facts import note, note_error
from api_gateway.settings import Settings
from service_kit.faults import FaultInjector, fault_injector

_ABORT_KEY = "api_gateway.abort"


class FaultLayer:
    """Stands inside RequestLayer, so that an injected error has its request id and its log line; spares health."""

    def __init__(self, app: ASGIApp, *, injector: FaultInjector, error_status: int) -> None:
        self._app = app
        self._injector = injector
        self._error_status = error_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = None if scope["path"] in PROBED else self._injector.draw()
        if fault is None:
            await self._app(scope, receive, send)
            return
        note(scope, fault=str(fault))
        await asyncio.sleep(fault.delay_seconds)
        match fault.ending:
            case None:
                await self._app(scope, receive, send)
            case "error":
                note_error(scope, "this error was injected")
                await problem(self._error_status, "This error was injected.")(scope, receive, send)
            case "abort":
                await _abort(scope, receive)
            case _:
                assert_never(fault.ending)


class AbortableProtocol(BoundedProtocol):
    """Hands each request the means to break its connection, which ASGI has none for."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        cycle.scope["state"][_ABORT_KEY] = self.transport.abort
        super()._start_asgi_task(cycle, app)


async def _abort(scope: Scope, receive: Receive) -> None:
    """Returns once uvicorn has seen that the connection is gone: before, it would answer with 500."""
    scope["state"][_ABORT_KEY]()
    while (await receive())["type"] != "http.disconnect":
        pass


def with_faults(app: ASGIApp, settings: Settings) -> ASGIApp:
    """The app itself unless a fault is set."""
    injector = fault_injector(settings, error_status=settings.fault_error_status)
    return FaultLayer(app, injector=injector, error_status=settings.fault_error_status) if injector else app


def protocol_of(settings: Settings) -> type[BoundedProtocol]:
    """What the connections of a gateway with such settings need."""
    return AbortableProtocol if settings.fault_abort_probability else BoundedProtocol
