"""A client that knows no contract but what reflection tells it, as grpcurl does."""

from typing import Any, Self

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub


class ReflectingClient:
    """Its descriptors are in a pool of their own."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel: Any = channel
        self._pool = DescriptorPool()
        self.services: list[str] = []

    @classmethod
    async def of(cls, channel: grpc.aio.Channel) -> Self:
        client = cls(channel)
        await client._ask()
        return client

    def methods(self, service: str) -> list[MethodDescriptor]:
        described: ServiceDescriptor = self._pool.FindServiceByName(service)
        return list(described.methods)

    async def call(self, method: MethodDescriptor, request: dict[str, Any]) -> dict[str, Any]:
        """The first answer, in JSON as the request is."""
        message = ParseDict(request, GetMessageClass(method.input_type)())
        path = f"/{method.containing_service.full_name}/{method.name}"
        types = (type(message).SerializeToString, GetMessageClass(method.output_type).FromString)
        if not method.server_streaming:
            return MessageToDict(await self._channel.unary_unary(path, *types)(message, timeout=30))
        if not method.client_streaming:
            call = self._channel.unary_stream(path, *types)(message, timeout=30)
        else:
            call = self._channel.stream_stream(path, *types)(timeout=30)
            await call.write(message)
        answer = await call.read()
        call.cancel()
        return MessageToDict(answer)

    async def _ask(self) -> None:
        asking = ServerReflectionStub(self._channel).ServerReflectionInfo()
        await asking.write(ServerReflectionRequest(list_services=""))
        self.services = [service.name for service in (await asking.read()).list_services_response.service]
        files: dict[str, FileDescriptorProto] = {}
        for name in self.services:
            await asking.write(ServerReflectionRequest(file_containing_symbol=name))
            for serialized in (await asking.read()).file_descriptor_response.file_descriptor_proto:
                file = FileDescriptorProto.FromString(serialized)
                files[file.name] = file
        await asking.done_writing()
        self._add(files)

    def _add(self, files: dict[str, FileDescriptorProto]) -> None:
        """Each after those that it imports."""
        while files:
            ready = [file for file in files.values() if files.keys().isdisjoint(file.dependency)]
            for file in ready:
                self._pool.Add(files.pop(file.name))
