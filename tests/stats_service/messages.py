"""Messages of the contract that tests send, and what is told of them."""

from typing import TYPE_CHECKING, Any

from google.protobuf.empty_pb2 import Empty

from service_kit.pb.stats import stats_pb2

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

RANGE, RESIDUE = stats_pb2.Operation.RANGE, stats_pb2.Operation.RESIDUE
BUSY, LOST = stats_pb2.ErrorKind.WORKERS_BUSY, stats_pb2.ErrorKind.WORKER_LOST


def record(n: int, **changes: Any) -> stats_pb2.NumberRecord:
    """Two requests of n, one of them a cache hit."""
    durations = {"total_duration": 3_000_000, "min_duration": 1_000_000, "max_duration": 2_000_000}
    return stats_pb2.NumberRecord(n=n, **{"count": 2, "cache_hits": 1, **durations, **changes})


def error(n: int, kind: int = 1, count: int = 1) -> stats_pb2.ErrorRecord:
    return stats_pb2.ErrorRecord(n=n, kind=stats_pb2.ErrorKind.ValueType(kind), count=count)


def operation(of: int, count: int = 1) -> stats_pb2.OperationRecord:
    return stats_pb2.OperationRecord(operation=stats_pb2.Operation.ValueType(of), count=count)


def batch(*records: stats_pb2.NumberRecord, **changes: Any) -> stats_pb2.RecordRequest:
    return stats_pb2.RecordRequest(**{"source": "life-1", "sequence": 1, "records": records, **changes})


async def total(stub: "StatsAsyncStub") -> int:
    return (await stub.GetStats(Empty())).total_requests


async def record_numbers(stub: "StatsAsyncStub", count: int) -> None:
    """So many numbers, each twice, but the first three times."""
    most = record(0, count=3)
    for start in range(0, count, 500):
        records = [record(n) if n else most for n in range(start, min(start + 500, count))]
        await stub.RecordNo(batch(*records, sequence=start + 1))
