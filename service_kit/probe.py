"""Asks one service whether it is healthy: `python -m service_kit.probe grpc://localhost:5001`.

Exits with 0 when a gRPC service says SERVING (grpc.health.v1) or an http:// URL answers below 400.
Meant for container health checks, which have no other client at hand.
"""

import argparse
import sys
import urllib.request
from http.client import HTTPException
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 2.0


def probe(url: str) -> str | None:
    """None when healthy, else one line that says why not."""
    parts = urlsplit(url)
    if parts.scheme == "grpc":
        return _probe_grpc(parts.netloc)
    if parts.scheme == "http":
        return _probe_http(url)
    return f"the URL has to start with grpc:// or http://, not {parts.scheme!r}"


def _probe_grpc(target: str) -> str | None:
    # A probe of http:// runs every few seconds too, and need not load gRPC.
    import grpc  # noqa: PLC0415
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{target}: {error.code().name}"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return None if serving else f"{target}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def _probe_http(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS):  # noqa: S310 - the scheme was checked
            return None
    except (OSError, HTTPException) as error:
        return f"{url}: {error}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service_kit.probe", description=__doc__)
    parser.add_argument("url", help="grpc://host:port or http://host:port/path")
    fault = probe(parser.parse_args().url)
    if fault is not None:
        print(fault, file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
