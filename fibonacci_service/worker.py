"""A worker process: computes one task after another. It imports nothing of the service but the mathematics.

Started by `worker_pool.py`, whose connection is its standard input and output. It gives way to everything else on
the machine, and ends with its parent: by the kernel's death signal on Linux, by the end of its input elsewhere.
"""

import ctypes
import hashlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import BinaryIO

import gmpy2

from fibonacci_service.frames import HEADER, MAX_DATA_BYTES, Kind, frame
from fibonacci_service.price import measure as measured_points
from fibonacci_service.sequence import Encoding, decimal_terms, encode, fibonacci
from fibonacci_service.sequence import residue as residue_of

_PR_SET_PDEATHSIG = 1
#: Decimal terms are sent in pieces of about this many bytes.
TERMS_BYTES = 64 << 10

#: An answer as its task yields it.
Pieces = Iterator[bytes]


def value(*, n: int, encoding: int) -> Pieces:
    """F(n), encoded."""
    yield encode(fibonacci(n), Encoding(encoding))


def terms(*, start: int, count: int) -> Pieces:
    """F(start) and the terms after it, each followed by a line feed, in pieces of whole terms."""
    piece: list[bytes] = []
    size = 0
    for term in decimal_terms(start, count):
        piece += (term, b"\n")
        size += len(term) + 1
        if size >= TERMS_BYTES:
            yield b"".join(piece)
            piece.clear()
            size = 0
    yield b"".join(piece)


def upper_digits(*, n: int, low: int) -> Pieces:
    """The decimal digits of F(n) but for its lowest `low`."""
    yield encode(fibonacci(n) // gmpy2.mpz(10) ** low, Encoding.DECIMAL)


def lower_digits(*, n: int, low: int) -> Pieces:
    """The lowest `low` decimal digits of F(n), leading zeros included."""
    yield encode(fibonacci(n) % gmpy2.mpz(10) ** low, Encoding.DECIMAL).rjust(low, b"0")


def residue(*, n: str, modulus: str) -> Pieces:
    """F(n) modulo a number, all three in decimal digits: 36 ms where n and the modulus have 1,000 of them."""
    yield b"%d" % residue_of(int(n), int(modulus))


def measure() -> Pieces:
    """The points of a Price, as a JSON array of pairs."""
    yield json.dumps(measured_points()).encode()


TASKS: dict[str, Callable[..., Pieces]] = {
    "value": value,
    "terms": terms,
    "upper_digits": upper_digits,
    "lower_digits": lower_digits,
    "residue": residue,
    "measure": measure,
}


def serve(tasks: BinaryIO, answers: BinaryIO) -> None:
    """Answers tasks until their stream ends. The END frame of a value carries its SHA-256."""
    while header := tasks.read(HEADER.size):
        _, length = HEADER.unpack(header)
        task = json.loads(tasks.read(length))
        name = task.pop("name")
        digest = hashlib.sha256()
        for piece in TASKS[name](**task):
            if name == "value":
                digest.update(piece)
            _send(answers, piece)
        answers.write(frame(Kind.END, digest.digest() if name == "value" else b""))
        answers.flush()


def _send(answers: BinaryIO, piece: bytes) -> None:
    view = memoryview(piece)
    for start in range(0, len(view), MAX_DATA_BYTES):
        part = view[start : start + MAX_DATA_BYTES]
        answers.write(HEADER.pack(Kind.DATA, len(part)))
        answers.write(part)
    answers.flush()


def _bind_to_parent(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the signal was asked for
        raise SystemExit


def main() -> None:
    parent, memory_bytes = map(int, sys.argv[1:])
    # A terminal sends its Ctrl-C and its end to the parent and to its workers, systemd its SIGTERM. All are for the
    # parent, which ends its workers when what is in flight is answered.
    for told_to_end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(told_to_end, signal.SIG_IGN)
    _bind_to_parent(parent)
    os.nice(19)
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
