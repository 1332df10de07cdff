"""A client that knows the first contract alone; it prints what it was answered, as JSON.

It runs in a process of its own, where PYTHONPATH leads to what protoc made of that contract.
"""

import importlib
import json
import sys
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

DEADLINE_SECONDS = 20


def numbers(channel: grpc.Channel) -> dict[str, Any]:
    messages, services = importlib.import_module("fib_pb2"), importlib.import_module("fib_pb2_grpc")
    stub = services.FibonacciStub(channel)
    return {str(n): _answer(stub.GetFib, messages.FibonacciRequest(n=n)) for n in (10, 92, 93, -1)}


def account(channel: grpc.Channel) -> dict[str, Any]:
    messages, services = importlib.import_module("stats_pb2"), importlib.import_module("stats_pb2_grpc")
    stub = services.StatsStub(channel)
    recorded = [_answer(stub.RecordNo, messages.RecordRequest(n=7, duration=ns)) for ns in (1_000_000, 3_000_000)]
    return {"recorded": recorded, "stats": _answer(stub.GetStats, Empty())}


def _answer(method: Any, request: Any) -> dict[str, Any]:
    """The fields of the response that this client knows, or the status."""
    try:
        response = method(request, timeout=DEADLINE_SECONDS, wait_for_ready=True)
    except grpc.RpcError as error:
        return {"code": error.code().name, "details": error.details()}
    return _fields(response)


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float) else [_fields(item) for item in value]


if __name__ == "__main__":
    with grpc.insecure_channel(sys.argv[2]) as opened:
        ask = {"numbers": numbers, "account": account}[sys.argv[1]]
        sys.stdout.write(json.dumps(ask(opened)))
