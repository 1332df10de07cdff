r"""A gRPC server that a call of a method that is no text does not end.

grpcio decodes the name of a method that nobody registered, in the loop that takes every call, and does not expect that
to fail: one call of `/\xff` stopped the server for good while its process lived on.
"""

import asyncio
import secrets
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import grpc
from grpc._cython import cygrpc
from grpc.aio._server import Server

from service_kit.grpc_variables import TESTED_RELEASES


def new_server(*, interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, int]]) -> Any:
    """As `grpc.aio.server`; for methods that are registered, which those of generated code are.

    It reaches into the private parts of grpcio, so only those releases of which that was tested get it.
    """
    if not version("grpcio").startswith(TESTED_RELEASES):
        return grpc.aio.server(interceptors=list(interceptors), options=options)
    return _Server(interceptors=interceptors, options=options)


class _Server(Server):
    def __init__(
        self, *, interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, int]]
    ) -> None:
        self._loop = cygrpc.get_working_loop()
        self._server = _Core(self._loop, None, (), list(interceptors), tuple(options), None)
        self._server.add_registered_method_handlers({self._server.unknown: None})


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    """Takes every call of an unknown method as one of `unknown`, which has no handler: it is UNIMPLEMENTED."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # A call by this name would wait for ever, so nobody may know it.
        self.unknown = f"/{secrets.token_hex(16)}"

    def _make_request_call_future(self, method: bytes | None) -> "asyncio.Future[Any]":
        """The next call of a registered method, or of any other where it is None; its name would be decoded then."""
        if method is None:
            return asyncio.get_running_loop().create_future()
        called: Any = self._request_call() if method == self.unknown.encode() else self._request_registered_call(method)
        return asyncio.create_task(called)
