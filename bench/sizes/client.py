"""One HTTP connection that times what it reads; the standard library's, which costs the least."""

import hashlib
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from bench.errors import BenchmarkFailed
from bench.sizes.library import Measured

TIMEOUT_SECONDS = 60.0
OK = 200
_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """Both times are from before the request was sent: to the first byte of the body, and to the last."""

    first_byte_seconds: float
    seconds: float
    body: bytes


class Client:
    """Asks the gateway on a port of this machine; the connection is kept."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str, *, accept: str = "*/*") -> Answer:
        """Raises BenchmarkFailed unless the answer is a 200."""
        try:
            status, answer = self._get(path, {"Accept": accept, "Accept-Encoding": "identity"})
        except (OSError, http.client.HTTPException) as error:
            raise BenchmarkFailed(f"GET {path[:80]} was not answered: {error!r}") from error
        if status != OK:
            raise BenchmarkFailed(f"GET {path[:80]} answered {status} {answer.body[:200]!r}")
        return answer

    def _get(self, path: str, headers: Mapping[str, str]) -> tuple[int, Answer]:
        started = time.perf_counter()
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        pieces = [response.read1(_READ_BYTES)]
        first = time.perf_counter()
        while piece := response.read1(_READ_BYTES):
            pieces.append(piece)
        ended = time.perf_counter()
        response.read()  # only this tells the connection that it is free
        return response.status, Answer(first - started, ended - started, b"".join(pieces))

    def get_digits(self, n: int) -> Answer:
        return self.get(f"/fib?n={n}", accept="text/plain")


def check_digits(n: int, body: bytes, expected: Measured) -> None:
    check_large(n, len(body), hashlib.sha256(body).hexdigest(), expected)


def check_large(n: int, length: int, sha256: str, expected: Measured) -> None:
    """Compares what came with the bare library's digits. Raises BenchmarkFailed."""
    if (length, sha256) != (expected.length, expected.sha256):
        raise BenchmarkFailed(f"F({n}) came in {length} bytes that are not its {expected.length} digits")
