"""Takes spans over OTLP and forgets them. Runs as a process: `python -m bench.telemetry.collector`."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import grpc

SERVICE, METHOD = "opentelemetry.proto.collector.trace.v1.TraceService", "Export"


async def take(_spans: bytes, _context: Any) -> bytes:
    return b""


async def serve() -> None:
    server = grpc.aio.server()
    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(take)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {METHOD: method})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    now = datetime.now(UTC).isoformat()
    print(json.dumps({"event": "service.started", "host": "127.0.0.1", "port": port, "timestamp": now}), flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())
