"""Against a small server in this process's thread, which answers as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bench.answers import answer
from bench.errors import BenchmarkFailed
from bench.steady import SMALL_NUMBER, latencies_ms


def test_every_request_of_the_rate_has_its_latency() -> None:
    with _server(answer(10)) as port:
        latencies = latencies_ms(port, SMALL_NUMBER, per_second=100, seconds=0.2)

    assert len(latencies) == 20
    assert all(0 < latency < 10_000 for latency in latencies)


def test_a_wrong_answer_fails_the_run() -> None:
    with _server(answer(11)) as port, pytest.raises(BenchmarkFailed, match="at a steady rate"):
        latencies_ms(port, SMALL_NUMBER, per_second=100, seconds=0.1)


@contextmanager
def _server(body: bytes) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = False  # it waits for its connections, which the client closes
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
