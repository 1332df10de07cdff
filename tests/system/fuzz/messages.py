"""Calls of every method with what might be a request: noise, damaged requests, and whole ones at the edges."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from fibonacci_service import app as fibonacci_app
from service_kit.pb.fibonacci import fib_pb2
from service_kit.pb.stats import stats_pb2
from service_kit.pb.stats.stats_pb2 import NumberRecord, RecordRequest
from stats_service import app as stats_app
from tests.system.fuzz.mutations import EDGES, mutated

#: Both services, and on each of their ports that of health checks.
SERVICES = ("fibonacci", "stats")
_METHODS: tuple[tuple[str, MethodDescriptor], ...] = tuple(
    (service, method)
    for service, file in zip(SERVICES, (fib_pb2, stats_pb2), strict=True)
    for described in (*file.DESCRIPTOR.services_by_name.values(), *health_pb2.DESCRIPTOR.services_by_name.values())
    for method in described.methods
)
_NO_LIST = "/grpc.health.v1.Health/List"
_UNKNOWN = ("/fibonacci.Fibonacci/GetFibs", "/stats.Stats/", "/", "/a/b/c", "/\x7f/" + "m" * 300, "/grpc.Nothing/Here")
_MAX_REQUEST_BYTES = {"fibonacci": fibonacci_app.MAX_REQUEST_BYTES, "stats": stats_app.MAX_REQUEST_BYTES}
#: More than any of them may have.
_OVERSIZED = b"\xfa\x7f" + b"\x80\x80\xc0\x02" + bytes(5 << 20)  # a field of the number 2,047, which nobody knows

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """To a method with a stream of requests may go several, to any other one. Nobody knows a method without a type."""

    service: str
    method: str
    requests: list[bytes]
    metadata: Metadata
    request_type: type[Message] | None = None
    client_streaming: bool = False
    server_streaming: bool = False

    @property
    def is_decodable(self) -> bool:
        try:
            for request in self.requests:
                if self.request_type is not None:
                    self.request_type.FromString(request)
        except DecodeError:
            return False
        return True

    @property
    def is_unimplemented(self) -> bool:
        return self.request_type is None or (self.method == _NO_LIST and self.is_decodable)

    @property
    def is_oversized(self) -> bool:
        return any(len(request) > _MAX_REQUEST_BYTES[self.service] for request in self.requests) or any(
            len(pair[1]) > 4_000 for pair in self.metadata
        )

    @property
    def is_endless(self) -> bool:
        return self.method.rpartition("/")[2].startswith("Watch")


def calls(random_: random.Random, count: int) -> Iterator[Call]:
    for _ in range(count):
        service, method = random_.choice(_METHODS)
        metadata = _metadata(random_)
        if random_.random() < 0.02:
            name = random_.choice(_UNKNOWN)
            yield Call(service=service, method=name, requests=[random_.randbytes(9)], metadata=metadata)
            continue
        request_type = GetMessageClass(method.input_type)
        requests = [_request(random_, request_type) for _ in range(random_.choice((1, 1, 2, 5)))]
        yield Call(
            service=service,
            method=f"/{method.containing_service.full_name}/{method.name}",
            requests=requests if method.client_streaming else requests[:1],
            metadata=metadata,
            request_type=request_type,
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
        )


def _request(random_: random.Random, request_type: type[Message]) -> bytes:
    kind = random_.random()
    if kind < 0.3:
        return random_.randbytes(random_.randrange(120))
    if kind < 0.301:
        return _OVERSIZED
    believed = request_type is RecordRequest and kind > 0.6
    text = (believable(random_) if believed else filled(random_, request_type())).SerializeToString()
    if kind > 0.9:
        text += _unknown_field(random_)
    return mutated(random_, text) if 0.75 < kind < 0.9 else text


def _unknown_field(random_: random.Random) -> bytes:
    """A field of the number 2,046, a varint or a text."""
    return b"\xf0\x7f\x01" if random_.random() < 0.5 else b"\xf2\x7f\x7f" + random_.randbytes(127)


def _metadata(random_: random.Random) -> Metadata:
    odd: tuple[Metadata, ...] = (
        (("x-request-id", "".join(chr(random_.randrange(32, 127)) for _ in range(random_.randrange(80)))),),
        (("x-request-id", "r" * 3_000),),
        (("x-request-id-bin", random_.randbytes(40)),),
        (("x-request-id", "one"), ("x-request-id", "two")),
        (("traceparent", "00-" + "f" * 60),),
        (("authorization", "Bearer " + "x" * 500),),
        tuple((f"k{place}", "v") for place in range(60)),
        (("x", "y" * random_.choice((5_000, 20_000))),),
    )
    return () if random_.random() < 0.8 else random_.choice(odd)


def believable(random_: random.Random) -> Message:
    """A batch that keeps every rule of the contract and says that more was answered than ever could be."""
    most = random_.choice((1, 10**9, 2**31, 2**63 - 1))
    indices = sorted({random_.randrange(2**31) for _ in range(random_.choice((0, 0, 3)))} | {7})
    records = [NumberRecord(n=n, count=most, cache_hits=random_.choice((0, most))) for n in indices]
    return RecordRequest(source=random_.randbytes(8).hex(), sequence=random_.choice((1, 2**63 - 1)), records=records)


def filled(random_: random.Random, message: Message) -> Message:
    """Sets most fields to values at their edges."""
    for field in message.DESCRIPTOR.fields:
        if random_.random() < 0.2:
            continue
        if field.message_type is not None and field.is_repeated:
            for _ in range(random_.choice((0, 1, 2, 20, 1_001 if random_.random() < 0.05 else 3))):
                filled(random_, getattr(message, field.name).add())
        elif field.message_type is not None:
            filled(random_, getattr(message, field.name))
        elif field.is_repeated:
            getattr(message, field.name).extend(_edge(random_, field) for _ in range(random_.randrange(4)))
        else:
            setattr(message, field.name, _edge(random_, field))
    return message


def _edge(random_: random.Random, field: Any) -> int | str:
    if field.cpp_type == field.CPPTYPE_STRING:
        numeral = str(random_.choice((random_.randrange(2_000), *EDGES)))
        return random_.choice(
            (numeral, "9" * 1_000, "s" * 64, "s" * 65, "\0", "\U0001f600", "'; DROP TABLE numbers; --")
        )
    if field.cpp_type == field.CPPTYPE_ENUM:
        return random_.choice((0, 1, 2, 3, -1, 2**31 - 1))
    bits = 63 if field.cpp_type == field.CPPTYPE_INT64 else 31
    least = 0 if field.cpp_type == field.CPPTYPE_UINT32 else -(2**bits)
    if random_.random() < 0.4:
        return random_.randrange(200)
    return random_.choice([edge for edge in EDGES if least <= edge < 2**bits])
