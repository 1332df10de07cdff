"""Clients of the real fibonacci_service that go away while their answer is sent."""

import socket
import struct
from collections.abc import Callable

from deploy.local.processes import System
from service_kit.grpc_channel import open_channel
from service_kit.pb.fibonacci.fib_pb2 import DECIMAL, FibonacciRequest
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub
from tests.system.fuzz.frames import PREFACE, RST_STREAM, SETTINGS, call, call_fields, frame

N = 2_000_000
CLIENTS = 30
#: What a client takes of an answer unless it allows more; the rest of this one waits for it.
TAKEN_BYTES = 60_000
CANCEL = 8


def cancel(connection: socket.socket) -> None:
    connection.sendall(frame(RST_STREAM, 0, 1, struct.pack(">I", CANCEL)))
    connection.shutdown(socket.SHUT_WR)
    while connection.recv(1 << 16):
        pass


def close(_connection: socket.socket) -> None:
    """It is closed anyway."""


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def leave_in_the_middle(port: int, leave: Callable[[socket.socket], None]) -> None:
    message = FibonacciRequest(n=N, encoding=DECIMAL).SerializeToString()
    framed = b"\0" + struct.pack(">I", len(message)) + message
    asked = call(*call_fields(b"/fibonacci.Fibonacci/GetFib"), stream=1, message=framed)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + asked)
        taken = 0
        while taken < TAKEN_BYTES:
            taken += len(connection.recv(1 << 16))
        leave(connection)


async def test_an_answer_that_is_refused_is_a_line_of_the_log_and_no_error(system: System) -> None:
    fibonacci = system.fibonacci
    for leave in (cancel, close, reset):
        for _ in range(CLIENTS):
            leave_in_the_middle(fibonacci.port, leave)
    async with open_channel(f"127.0.0.1:{fibonacci.port}") as channel:
        answer = await FibonacciStub(channel).GetFib(FibonacciRequest(n=10, encoding=DECIMAL), wait_for_ready=True)
    assert answer.value == b"55"

    assert fibonacci.stop() == 0
    assert fibonacci.count("answer.refused", level="info", method="fibonacci.Fibonacci/GetFib") > 0
    assert [line for line in fibonacci.lines if "exception" in line or line.get("level") == "error"] == []
    assert [line for line in fibonacci.lines if "event" not in line] == []
