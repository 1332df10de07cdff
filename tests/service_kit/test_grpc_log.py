import logging

import pytest
from grpc._cython import cygrpc

from service_kit.grpc_log import tell_refused_answers
from tests.service_kit.conftest import Lines

SERVER = logging.getLogger("grpc._cython.cygrpc")
TEXT = "ExecuteBatchError raised in core by servicer method [/fibonacci.Fibonacci/GetFib]"


def logged(error: Exception) -> None:
    try:
        raise error
    except type(error):
        SERVER.exception(TEXT)


@pytest.fixture(autouse=True)
def _telling() -> None:
    tell_refused_answers()
    tell_refused_answers()


def test_an_answer_that_could_not_be_sent_is_one_line_without_a_traceback(json_lines: Lines) -> None:
    logged(cygrpc.ExecuteBatchError('Failed "execute_batch": (<SendMessageOperation object>,)'))
    (line,) = json_lines()
    assert {name: line[name] for name in line if name != "timestamp"} == {
        "event": "answer.refused",
        "level": "info",
        "service": "the_service",
        "method": "fibonacci.Fibonacci/GetFib",
    }


@pytest.mark.parametrize(
    "error",
    [
        cygrpc.ExecuteBatchError("Failed grpc_call_start_batch: 8 with grpc_call_error value: 'INVALID_FLAGS'"),
        ValueError('Failed "execute_batch"'),
    ],
    ids=["wrong call", "another error"],
)
def test_every_other_error_keeps_its_traceback(json_lines: Lines, error: Exception) -> None:
    logged(error)
    (line,) = json_lines()
    assert (line["event"], line["level"], len(line["exception"])) == (TEXT, "error", 1)
