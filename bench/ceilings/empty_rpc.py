"""A grpc.aio handler that does nothing, on a server with gRPC's and asyncio's default settings.

Runs as a process: `python -m bench.ceilings.empty_rpc`.
"""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import grpc

from bench.answers import MEASURED_INDEX, fibonacci
from service_kit.pb.fibonacci import fib_pb2, fib_pb2_grpc

_RESPONSE = fib_pb2.FibonacciResponse(x=fibonacci(MEASURED_INDEX))


class EmptyServicer(fib_pb2_grpc.FibonacciServicer):
    async def GetFib(self, request: fib_pb2.FibonacciRequest, context: Any) -> fib_pb2.FibonacciResponse:
        return _RESPONSE


async def serve() -> None:
    server = grpc.aio.server()
    fib_pb2_grpc.add_FibonacciServicer_to_server(EmptyServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    started = {"event": "service.started", "port": port, "timestamp": datetime.now(UTC).isoformat()}
    print(json.dumps(started), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
