"""The contract as clients hold it: one that has its first version alone, and one that has what it grew to."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from deploy.local.processes import System
from service_kit.pb.fibonacci.fib_pb2 import (
    BIG_ENDIAN,
    DECIMAL,
    BatchGetFibItem,
    BatchGetFibRequest,
    BatchGetFibResponse,
    Encoding,
    FibonacciRequest,
)
from service_kit.pb.fibonacci.fib_pb2_grpc import FibonacciStub

FIRST_CONTRACT = {
    "fib.proto": """
        syntax = "proto3";
        package fibonacci;
        service Fibonacci { rpc GetFib(FibonacciRequest) returns (FibonacciResponse); }
        message FibonacciRequest { int32 n = 1; }
        message FibonacciResponse { int64 x = 1; }
    """,
    "stats.proto": """
        syntax = "proto3";
        package stats;
        import "google/protobuf/empty.proto";
        service Stats {
          rpc RecordNo(RecordRequest) returns (RecordResponse);
          rpc GetStats(google.protobuf.Empty) returns (StatsResponse);
        }
        message StatsResponse { int32 total_requests = 1; repeated FibonacciStat fibonacci_stats = 2; }
        message FibonacciStat { int32 n = 1; int32 request_count = 2; double average_time_ms = 3; }
        message RecordRequest { int32 n = 1; int64 duration = 2; }
        message RecordResponse { bool success = 1; }
    """,
}


class ForeignClient:
    """Runs foreign_client.py with the modules that protoc makes of the first contract."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name, text in FIRST_CONTRACT.items():
            (folder / name).write_text(text, encoding="utf-8")
        outputs = [f"--{kind}_out={folder}" for kind in ("python", "grpc_python")]
        self._run("-m", "grpc_tools.protoc", f"-I{folder}", *outputs, *FIRST_CONTRACT)

    def ask(self, what: str, port: int) -> dict[str, Any]:
        script = str(Path(__file__).with_name("foreign_client.py"))
        answers: dict[str, Any] = json.loads(self._run(script, what, f"127.0.0.1:{port}"))
        return answers

    def _run(self, *arguments: str) -> str:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self._folder)}
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment,
            cwd=self._folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def foreign_client(tmp_path: Path) -> ForeignClient:
    folder = tmp_path / "first_contract"
    folder.mkdir()
    return ForeignClient(folder)


def test_a_client_of_the_first_contract_is_answered_and_counted(system: System, foreign_client: ForeignClient) -> None:
    numbers = foreign_client.ask("numbers", system.fibonacci.port)
    assert numbers["10"] == {"x": 55}
    assert numbers["92"] == {"x": 7540113804746346429}
    assert numbers["-1"]["code"] == "INVALID_ARGUMENT"
    assert numbers["93"] == {
        "code": "OUT_OF_RANGE",
        "details": "F(93) does not fit x, which ends at n = 92: set encoding to DECIMAL or BIG_ENDIAN and read value",
    }

    assert system.fibonacci.stop() == 0  # what it answered is recorded once it has ended
    account = foreign_client.ask("account", system.stats.port)
    assert account["recorded"] == [{"success": True}, {"success": True}]
    assert account["stats"]["total_requests"] == 4
    rows = account["stats"]["fibonacci_stats"]
    assert rows[0] == {"n": 7, "request_count": 2, "average_time_ms": 2.0}
    assert [(row["n"], row["request_count"]) for row in rows] == [(7, 2), (10, 1), (92, 1)]
    assert all(row["average_time_ms"] > 0 for row in rows)


def test_an_item_that_fails_leaves_the_rest_of_its_batch_their_answers(system: System) -> None:
    response = batch(
        system, (10, DECIMAL), (-1, DECIMAL), (93, Encoding.ENCODING_UNSPECIFIED), (93, BIG_ENDIAN), (92, 0)
    )
    ten, negative, unencoded, large, old = response.results
    assert (ten.response.x, ten.response.value) == (55, b"55")
    assert (negative.error.code, negative.error.message) == (
        grpc.StatusCode.INVALID_ARGUMENT.value[0],
        "n must be 0 or more, not -1",
    )
    assert unencoded.error.code == grpc.StatusCode.OUT_OF_RANGE.value[0]
    assert (large.response.x, int.from_bytes(large.response.value, "big")) == (0, 12200160415121876738)
    assert (old.response.x, old.response.value) == (7540113804746346429, b"")
    assert [result.WhichOneof("result") for result in response.results] == [
        "response",
        "error",
        "error",
        "response",
        "response",
    ]


def batch(system: System, *asked: tuple[int, int]) -> BatchGetFibResponse:
    items = [
        BatchGetFibItem(request=FibonacciRequest(n=n, encoding=Encoding.ValueType(encoding))) for n, encoding in asked
    ]
    alone = (("grpc.use_local_subchannel_pool", 1),)
    with grpc.insecure_channel(f"127.0.0.1:{system.fibonacci.port}", options=alone) as channel:
        return FibonacciStub(channel).BatchGetFib(BatchGetFibRequest(items=items), timeout=20, wait_for_ready=True)
