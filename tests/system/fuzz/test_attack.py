"""The judge of the attack sees what leaks, and takes no number for a leak."""

import struct

import grpc

from service_kit.pb.stats.stats_pb2 import FibonacciStat
from tests.system.fuzz.attack import frames_fault, http_fault
from tests.system.fuzz.frames import DATA, HEADERS, SETTINGS, frame

PLACE = b"grpc-message\x20served.py, line 3"


def test_a_time_whose_bytes_spell_the_name_of_a_file_is_no_leak() -> None:
    (milliseconds,) = struct.unpack("<d", b"\0 1.py \x3f")
    message = FibonacciStat(n=10, min_time_ms=milliseconds).SerializeToString()
    assert b".py" in message
    assert frames_fault([grpc.StatusCode.OK], frame(SETTINGS, 0, 0) + frame(DATA, 0, 1, message)) == ""


def test_how_the_code_failed_is_a_leak() -> None:
    refusal = frame(DATA, 0, 1, b"\x08\x0a") + frame(HEADERS, 0, 1, PLACE)
    assert frames_fault([grpc.StatusCode.NOT_FOUND], refusal) == ".py"
    assert frames_fault([grpc.StatusCode.NOT_FOUND], refusal[:-5]) == ".py", "cut off in its last frame"
    assert http_fault([400], b"HTTP/1.1 400 \r\n\r\nTraceback") == "Traceback"


def test_what_nobody_meant_to_answer_is_a_fault() -> None:
    assert http_fault([200, 500], b"") == "status 500"
    assert frames_fault([grpc.StatusCode.UNKNOWN], b"") != ""
    assert frames_fault([grpc.StatusCode.INTERNAL], b"") != ""
    assert frames_fault([grpc.StatusCode.INTERNAL], b"grpc-message\x1aFailed parsing HTTP/2") == ""
