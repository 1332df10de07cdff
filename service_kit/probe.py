"""Asks one service whether it is healthy: `python -m service_kit.probe grpc://localhost:5001`.

Exits with 0 when a gRPC service says SERVING (grpc.health.v1) or an http:// URL answers below 400.
Meant for container health checks, which have no other client at hand. grpcs:// and https:// ask over TLS.
"""

# A probe runs every few seconds: gRPC is loaded where it is needed, and of this package only what loads little.
import argparse
import ssl
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, urlsplit

from service_kit.tls_files import TlsFault, TlsFile, TlsFiles

TIMEOUT_SECONDS = 2.0
WITHOUT_TLS = TlsFiles(certificate=TlsFile("--certificate", ""), key=TlsFile("--key", ""), ca=TlsFile("--ca", ""))


def probe(url: str, *, files: TlsFiles = WITHOUT_TLS, server_name: str = "") -> str | None:
    """None when healthy, else one line that says why not.

    Without authorities in `files` those of the system are believed; the name is that of the URL when it is empty.
    """
    try:
        parts = urlsplit(url)
        match parts.scheme:
            case "grpc" | "grpcs":
                return _probe_grpc(parts.netloc, files if parts.scheme == "grpcs" else None, server_name)
            case "http" | "https":
                return _probe_http(_http_connection(parts, files, server_name), url)
            case _:
                return f"the URL has to start with grpc://, grpcs://, http:// or https://, not {parts.scheme!r}"
    except TlsFault as fault:
        return str(fault)
    except (OSError, HTTPException, ValueError) as error:  # the last one of a URL that cannot be asked
        return f"{url}: {error}"


def _probe_grpc(target: str, files: TlsFiles | None, server_name: str) -> str | None:
    import grpc  # noqa: PLC0415
    from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: PLC0415

    options = (("grpc.ssl_target_name_override", server_name),) if server_name else ()
    credentials = None if files is None else _grpc_credentials(files)
    with grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.RpcError as error:
            return f"{target}: {error.code().name}"
    serving = answer.status == health_pb2.HealthCheckResponse.SERVING
    return None if serving else f"{target}: {health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)}"


def _grpc_credentials(files: TlsFiles) -> Any:
    import grpc  # noqa: PLC0415

    pem = files.load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))  # which says what is wrong, where gRPC never connects
    return grpc.ssl_channel_credentials(pem.ca or None, pem.key or None, pem.certificate or None)


class _NamedConnection(HTTPSConnection):
    """HTTPS to a server whose certificate carries another name than the URL."""

    def __init__(self, netloc: str, *, context: ssl.SSLContext, server_name: str) -> None:
        super().__init__(netloc, timeout=TIMEOUT_SECONDS)
        self._tls = context
        self._server_name = server_name or self.host

    def connect(self) -> None:
        HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def _http_connection(parts: SplitResult, files: TlsFiles, server_name: str) -> HTTPConnection:
    if parts.scheme == "http":
        return HTTPConnection(parts.netloc, timeout=TIMEOUT_SECONDS)
    return _NamedConnection(parts.netloc, context=_client_context(files), server_name=server_name)


def _client_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not files.ca.path:
        context.load_default_certs()
    files.load(context)
    return context


def _probe_http(connection: HTTPConnection, url: str) -> str | None:
    parts = urlsplit(url)
    try:
        connection.request("GET", f"{parts.path or '/'}{parts.query and '?'}{parts.query}")
        response = connection.getresponse()
    finally:
        connection.close()
    healthy = response.status < HTTPStatus.BAD_REQUEST
    return None if healthy else f"{url}: HTTP Error {response.status}: {response.reason}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m service_kit.probe", description=__doc__)
    parser.add_argument("url", help="grpc://host:port or http://host:port/path; with TLS grpcs:// or https://")
    parser.add_argument("--ca", default="", help="PEM file of the server's authorities; the system's by default")
    parser.add_argument("--certificate", default="", help="PEM file of the certificate to show, with --key")
    parser.add_argument("--key", default="", help="PEM file of that certificate's key")
    parser.add_argument("--server-name", default="", help="name that the server's certificate has to carry")
    given = parser.parse_args()
    files = TlsFiles(
        certificate=TlsFile("--certificate", given.certificate),
        key=TlsFile("--key", given.key),
        ca=TlsFile("--ca", given.ca),
    )
    fault = probe(given.url, files=files, server_name=given.server_name)
    if fault is not None:
        print(fault, file=sys.stderr)
        raise SystemExit(1)


if __name__ == "__main__":
    main()
