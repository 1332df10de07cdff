import asyncio
from dataclasses import FrozenInstanceError

import pytest

from fibonacci_service.errors import WorkerLost, WorkersBusy
from fibonacci_service.observations import Computation, FailureKind, Operation, failure_kind
from fibonacci_service.values import EncodedValue
from service_kit.pb.stats import stats_pb2

VALUE = EncodedValue(b"55", b"")


def test_an_answer_is_dear_above_one_millisecond() -> None:
    assert [Computation(10, VALUE, "computed", ns).dear for ns in (1_000_000, 1_000_001)] == [False, True]


def test_only_what_came_from_the_cache_is_cached() -> None:
    assert Computation(10, VALUE, "cache", 1).cached
    assert not Computation(10, VALUE, "computed", 1).cached
    assert not Computation(10, VALUE, "coalesced", 1).cached


@pytest.mark.parametrize(("n", "x"), [(0, 0), (10, 55), (92, 7540113804746346429), (93, 0)])
def test_x_is_the_number_where_it_fits_int64(n: int, x: int) -> None:
    assert Computation(n, VALUE, "computed", 1).x == x


def test_a_computation_does_not_change() -> None:
    computation = Computation(10, VALUE, "computed", 1)
    with pytest.raises(FrozenInstanceError):
        computation.n = 11  # type: ignore[misc]


def test_kinds_and_operations_are_those_of_the_contract() -> None:
    kinds = {name: number for name, number in stats_pb2.ErrorKind.items() if number}
    operations = {name: number for name, number in stats_pb2.Operation.items() if number}

    assert {kind.name: int(kind) for kind in FailureKind} == kinds
    assert {operation.name: int(operation) for operation in Operation} == operations


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (WorkersBusy(2.5), FailureKind.WORKERS_BUSY),
        (WorkerLost(-9), FailureKind.WORKER_LOST),
        (asyncio.CancelledError(), FailureKind.CANCELLED),
        (MemoryError(), FailureKind.INTERNAL),
    ],
)
def test_an_error_that_ends_an_accepted_request_has_a_kind(error: BaseException, kind: FailureKind) -> None:
    assert failure_kind(error) is kind
