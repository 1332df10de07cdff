import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gmpy2
import pytest

from fibonacci_service.frames import HEADER, MAX_DATA_BYTES, Kind, frame
from fibonacci_service.sequence import Encoding, encode, fibonacci
from fibonacci_service.worker import TERMS_BYTES, serve

Frames = list[tuple[Kind, bytes]]


def task(name: str, **operands: Any) -> bytes:
    return frame(Kind.TASK, json.dumps({"name": name, **operands}).encode())


def frames_for(*tasks: bytes) -> Frames:
    """What a worker writes when it is sent tasks and then the end of its input."""
    answers = io.BytesIO()
    serve(io.BytesIO(b"".join(tasks)), answers)
    answers.seek(0)
    frames: Frames = []
    while header := answers.read(HEADER.size):
        kind, length = HEADER.unpack(header)
        frames.append((Kind(kind), answers.read(length)))
    return frames


def answer_to(name: str, **operands: Any) -> bytes:
    """The data of one answer, whose last frame has the digest of a value."""
    *pieces, (kind, sha256) = frames_for(task(name, **operands))
    assert {kind for kind, _ in pieces} <= {Kind.DATA}
    data = b"".join(piece for _, piece in pieces)
    assert (kind, sha256) == (Kind.END, hashlib.sha256(data).digest() if name == "value" else b"")
    return data


def test_a_frame_is_a_byte_for_the_kind_four_for_the_length_and_the_payload() -> None:
    assert frame(Kind.DATA, b"55") == b"\x02\x00\x00\x00\x0255"


def test_an_answer_is_its_data_and_then_the_digest_of_it() -> None:
    assert frames_for(task("value", n=10, encoding=1)) == [
        (Kind.DATA, b"55"),
        (Kind.END, hashlib.sha256(b"55").digest()),
    ]


def test_without_tasks_there_are_no_answers() -> None:
    assert frames_for() == []


def test_tasks_are_answered_one_after_another() -> None:
    frames = frames_for(task("value", n=10, encoding=1), task("residue", n="10", modulus="7"))

    assert [payload for kind, payload in frames if kind is Kind.DATA] == [b"55", b"6"]
    assert [kind for kind, _ in frames] == [Kind.DATA, Kind.END] * 2


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("n", [0, 1, 93, 200_000])
def test_a_value_is_written_in_the_encoding_asked_for(n: int, encoding: Encoding) -> None:
    assert answer_to("value", n=n, encoding=int(encoding)) == encode(fibonacci(n), encoding)


def test_a_long_value_is_cut_into_frames_of_the_longest_length_and_a_rest() -> None:
    digits = fibonacci(3_000_000).digits().encode()

    *pieces, _ = frames_for(task("value", n=3_000_000, encoding=1))

    assert [len(piece) for _, piece in pieces] == [MAX_DATA_BYTES, MAX_DATA_BYTES, len(digits) - 2 * MAX_DATA_BYTES]
    assert b"".join(piece for _, piece in pieces) == digits


def test_terms_are_written_a_line_each() -> None:
    assert answer_to("terms", start=5, count=4) == b"5\n8\n13\n21\n"


def test_terms_are_cut_only_between_terms() -> None:
    *pieces, _ = frames_for(task("terms", start=10_000, count=100))

    assert len(pieces) > 2
    assert all(piece.endswith(b"\n") for _, piece in pieces)
    longest = len(fibonacci(10_100).digits()) + 1
    assert all(TERMS_BYTES <= len(piece) < TERMS_BYTES + longest for _, piece in pieces[:-1])


@pytest.mark.parametrize("low", [0, 1, 10, 21])
def test_the_two_parts_of_the_digits_make_the_number(low: int) -> None:
    upper, lower = answer_to("upper_digits", n=100, low=low), answer_to("lower_digits", n=100, low=low)

    whole = b"354224848179261915075"
    assert lower.rjust(low, b"0")[len(lower) - low :] == whole[len(whole) - low :]
    assert upper == (whole[: len(whole) - low] or b"0")


@contextmanager
def started(*, parent: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "fibonacci_service.worker", f"{parent}", f"{1 << 30}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_worker_whose_parent_died_while_it_started_does_nothing() -> None:
    with started(parent=0) as process:  # which is no process's
        answer, _ = process.communicate(task("value", n=10, encoding=1), timeout=30)
        assert answer == b""
        assert process.returncode == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_tells_the_parent_to_end_is_nothing_to_a_worker(sent: signal.Signals) -> None:
    with started(parent=os.getpid()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(2):
            process.stdin.write(task("value", n=10, encoding=1))
            process.stdin.flush()
            answer = frame(Kind.DATA, b"55") + frame(Kind.END, hashlib.sha256(b"55").digest())
            assert process.stdout.read(len(answer)) == answer
            process.send_signal(sent)


def test_the_lower_digits_keep_their_leading_zeros() -> None:
    assert gmpy2.fib(15) * 10 < gmpy2.fib(21) == 10_946
    assert answer_to("lower_digits", n=21, low=4) == b"0946"


def test_a_measurement_is_pairs_of_an_index_and_seconds() -> None:
    points = json.loads(answer_to("measure"))

    assert points == sorted(points)
    assert all(n > 0 and seconds > 0 for n, seconds in points)
