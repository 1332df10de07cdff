"""grpc.reflection.v1alpha, by which a client such as grpcurl learns which methods there are."""

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2_grpc import add_ServerReflectionServicer_to_server

from service_kit.drain import Drain
from service_kit.malformed import refuse_malformed


class ReflectionServicer(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    """A drain would wait for a stream of it to its limit."""

    def __init__(self, *service_names: str) -> None:
        super().__init__((*service_names, reflection.SERVICE_NAME))
        self._drain = Drain()

    async def ServerReflectionInfo(self, _requests: Any, context: Any) -> AsyncGenerator[Any, None]:
        async with (
            contextlib.aclosing(self._read(context)) as requests,
            contextlib.aclosing(super().ServerReflectionInfo(requests, context)) as responses,
        ):
            async for response in responses:
                yield response

    def add_to(self, server: grpc.aio.Server) -> None:
        add_ServerReflectionServicer_to_server(self, server)

    def end_streams(self) -> None:
        self._drain.begin()

    async def _read(self, context: Any) -> AsyncGenerator[Any, None]:
        while (request := await self._drain.read(context)) is not grpc.aio.EOF:
            if request is None:
                await refuse_malformed(context)
            yield request
