"""A grpc.aio handler that does nothing, on a server with gRPC's and asyncio's default settings.

Runs as a process: `python -m bench.ceilings.empty_rpc`.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import grpc

from bench.answers import MEASURED_INDEX, fibonacci
from service_kit.pb.fibonacci.fib_pb2 import FibonacciRequest, FibonacciResponse

_RESPONSE = FibonacciResponse(x=fibonacci(MEASURED_INDEX))


async def get_fib(_request: FibonacciRequest, _context: Any) -> FibonacciResponse:
    return _RESPONSE


async def serve() -> None:
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        get_fib,
        request_deserializer=FibonacciRequest.FromString,
        response_serializer=FibonacciResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("fibonacci.Fibonacci", {"GetFib": method})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    started = {
        "event": "service.started",
        "host": "127.0.0.1",
        "port": port,
        "timestamp": datetime.now(UTC).isoformat(),
    }
    print(json.dumps(started), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
