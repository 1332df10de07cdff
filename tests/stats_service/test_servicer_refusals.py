"""Bad input over gRPC: INVALID_ARGUMENT, the field by name, and nothing applied."""

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from service_kit.pb.stats import stats_pb2
from stats_service.paging import Order, Place, page_token
from tests.refusal import refusal_of
from tests.stats_service.messages import batch, error, operation, record, total

if TYPE_CHECKING:
    from service_kit.pb.stats.stats_pb2_grpc import StatsAsyncStub

NOON = Timestamp(seconds=1_699_963_200)


def single(**fields: Any) -> stats_pb2.RecordRequest:
    return stats_pb2.RecordRequest(**fields)


def histogram(buckets: list[int], counts: list[int]) -> stats_pb2.RecordRequest:
    return batch(record(5), record(10, buckets=buckets, bucket_counts=counts))


def beside(**fields: Any) -> stats_pb2.RecordRequest:
    return batch(record(10), **fields)


#: Each by the field that is to be named, and what is wrong with it.
REFUSED = {
    "n": single(n=-1),
    "duration": single(n=10, duration=-1),
    "duration above 10**15": single(n=10, duration=10**15 + 1),
    "n beside source": beside(n=10),
    "n of -1 beside source": beside(n=-1),
    "duration beside source": beside(duration=10),
    "source is missing for records": beside(source="", sequence=0),
    "source is missing for errors": single(errors=[error(10)]),
    "source is missing for operations": single(operations=[operation(1)]),
    "source is missing for sequence": single(sequence=1),
    "source is missing for start_time": single(n=10, start_time=NOON),
    "source is missing for end_time": single(n=10, end_time=NOON),
    "source of other characters": beside(source="a b"),
    "source of other letters": beside(source="ä"),
    "source ends a line": beside(source="a\n"),
    "source of 65": beside(source="a" * 65),
    "source of a megabyte": beside(source="a" * 2**20),
    "sequence of 0": beside(sequence=0),
    "sequence of -1": beside(sequence=-1),
    "records are missing": batch(),
    "records of 1001": batch(*map(record, range(1_001))),
    "records of 500, errors of 500, operations of 1": batch(
        *map(record, range(500)), errors=map(error, range(500)), operations=[operation(1)]
    ),
    "records of none, errors of 1001": batch(errors=map(error, range(1_001))),
    "records[1].n is negative": batch(record(10), record(-1)),
    "records[1].n repeats": batch(record(10), record(10)),
    "records[2].n falls": batch(record(10), record(11), record(9)),
    "records[0].count of 0": batch(record(10, count=0, cache_hits=0, total_duration=0)),
    "records[0].count of -1": batch(record(10, count=-1)),
    "records[0].count above 10**9": batch(record(10, count=10**9 + 1, total_duration=2 * 10**15)),
    "records[0].count of the most": batch(record(10, count=2**63 - 1, total_duration=0, min_duration=0)),
    "records[0].cache_hits above count": batch(record(10, cache_hits=3)),
    "records[0].cache_hits of -1": batch(record(10, cache_hits=-1)),
    "records[0].coalesced above the rest": batch(record(10, coalesced=2)),
    "records[0].coalesced of -1": batch(record(10, coalesced=-1)),
    "records[0].min_duration of -1": batch(record(10, min_duration=-1)),
    "records[0].max_duration below min": batch(record(10, max_duration=999_999)),
    "records[1].total_duration too short": batch(record(10), record(20, total_duration=1_999_999)),
    "records[0].total_duration too long": batch(record(10, total_duration=4_000_001)),
    "records[0].total_duration above 10**15": batch(record(10, total_duration=10**15 + 1, max_duration=10**15)),
    "records[1].bucket_counts too few": histogram([1, 2], [2]),
    "records[1].bucket_counts without buckets": histogram([], [2]),
    "records[1].bucket_counts add up to less": histogram([1], [1]),
    "records[1].bucket_counts add up to more": histogram([1, 2], [2, 1]),
    "records[1].bucket_counts of 0": histogram([1, 2], [2, 0]),
    "records[1].bucket_counts of -1": histogram([1, 2], [3, -1]),
    "records[1].buckets repeat": histogram([1, 1], [1, 1]),
    "records[1].buckets fall": histogram([2, 1], [1, 1]),
    "records[1].buckets above the last": histogram([1, 384], [1, 1]),
    "errors[0].n is negative": beside(errors=[error(-1)]),
    "errors[1].n falls": beside(errors=[error(2), error(1)]),
    "errors[1].n repeats with its kind": beside(errors=[error(1, 2), error(1, 2)]),
    "errors[1].n repeats with a lower kind": beside(errors=[error(1, 2), error(1, 1)]),
    "errors[0].kind is unspecified": beside(errors=[error(1, 0)]),
    "errors[0].kind of -1": beside(errors=[error(1, -1)]),
    "errors[0].kind of 32": beside(errors=[error(1, 32)]),
    "errors[0].count of 0": beside(errors=[error(1, 1, 0)]),
    "errors[0].count of -1": beside(errors=[error(1, 1, -1)]),
    "errors[0].count above 10**9": beside(errors=[error(1, 1, 10**9 + 1)]),
    "operations[0].operation is unspecified": beside(operations=[operation(0)]),
    "operations[0].operation of 32": beside(operations=[operation(32)]),
    "operations[1].operation repeats": beside(operations=[operation(1), operation(1)]),
    "operations[1].operation falls": beside(operations=[operation(2), operation(1)]),
    "operations[0].count of 0": beside(operations=[operation(1, 0)]),
    "operations[0].count above 10**9": beside(operations=[operation(1, 10**9 + 1)]),
    "start_time before 1970": beside(start_time=Timestamp(seconds=-1)),
    "start_time after 9999": beside(start_time=Timestamp(seconds=253_402_300_800)),
    "start_time of a negative fraction": beside(start_time=Timestamp(nanos=-1)),
    "end_time of a whole second of nanos": beside(end_time=Timestamp(nanos=10**9)),
    "end_time of the last second there is": beside(end_time=Timestamp(seconds=2**63 - 1)),
    "end_time before start_time": beside(start_time=NOON, end_time=Timestamp(seconds=NOON.seconds - 1)),
}


@pytest.mark.parametrize(("fault", "request_"), REFUSED.items(), ids=REFUSED)
async def test_a_record_that_breaks_the_contract_is_refused_by_field_and_nothing_is_applied(
    stub: "StatsAsyncStub", fault: str, request_: stats_pb2.RecordRequest
) -> None:
    refusal = await refusal_of(stub.RecordNo(request_))

    field, *_ = fault.split()
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "RECORD_INVALID")
    assert refusal.field == field
    assert refusal.message == f"{field} {refusal.facts['bound']}"
    assert len(refusal.message) < 200
    response = await stub.ListStats(stats_pb2.ListStatsRequest())
    assert response == stats_pb2.ListStatsResponse(totals=response.totals)
    assert (response.totals.numbers, list(response.totals.operations)) == (0, [])
    assert not (await stub.ListMinutes(stats_pb2.ListMinutesRequest())).minutes


async def test_a_refused_batch_does_not_use_up_its_sequence(stub: "StatsAsyncStub") -> None:
    await refusal_of(stub.RecordNo(batch(record(10, count=0))))

    assert not (await stub.RecordNo(batch(record(10)))).duplicate


ACCEPTED = {
    "source and sequence": batch(record(0), source="A-Za-z0-9._-" + "x" * 52, sequence=2**63 - 1),
    "durations and n": batch(record(10, total_duration=2_000_000), record(2**31 - 1, total_duration=4_000_000)),
    "cache_hits": batch(record(10, cache_hits=0), record(11, cache_hits=2)),
    "coalesced": batch(record(10, coalesced=1), record(11, cache_hits=0, coalesced=2)),
    "records": batch(*map(record, range(1_000))),
    "records, errors and operations": batch(
        *map(record, range(500)), errors=map(error, range(499)), operations=[operation(1)]
    ),
    "total_duration": batch(record(10, count=1, total_duration=10**15, min_duration=0, max_duration=10**15)),
    "buckets": batch(record(10, buckets=[0, 383], bucket_counts=[1, 1])),
    "kind and operation": batch(record(1), errors=[error(1, 1), error(1, 31)], operations=[operation(31, 10**9)]),
    "times": batch(record(1), start_time=Timestamp(), end_time=Timestamp(seconds=253_402_300_799, nanos=10**9 - 1)),
    "times that are equal": batch(record(1), start_time=NOON, end_time=NOON),
    "empty": stats_pb2.RecordRequest(),
    "duration": stats_pb2.RecordRequest(duration=10**15),
}


@pytest.mark.parametrize("request_", ACCEPTED.values(), ids=ACCEPTED)
async def test_the_bounds_themselves_are_accepted(stub: "StatsAsyncStub", request_: stats_pb2.RecordRequest) -> None:
    answer = await stub.RecordNo(request_)

    assert answer == stats_pb2.RecordResponse(success=True)
    assert await total(stub) == (sum(record.count for record in request_.records) or 1)


async def test_the_largest_records_there_may_be_leave_the_account_readable(stored_stub: "StatsAsyncStub") -> None:
    longest = {"total_duration": 10**15, "min_duration": 0, "max_duration": 10**15}
    for sequence in range(1, 12):
        largest = [record(n, count=10**9, cache_hits=0, **longest) for n in range(1_000)]
        await stored_stub.RecordNo(batch(*largest, sequence=sequence))

    stats = await stored_stub.ListStats(stats_pb2.ListStatsRequest(page_size=1_000))
    assert (stats.total_requests, len(stats.fibonacci_stats)) == (11 * 10**12, 1_000)


async def test_a_batch_of_the_largest_size_that_keeps_to_the_bounds_is_taken_whole(stub: "StatsAsyncStub") -> None:
    each = 10**9 // 384
    full = {"count": 384 * each, "buckets": range(384), "bucket_counts": [each] * 384}
    times = {"min_duration": 10**5, "max_duration": 10**15, "total_duration": 10**15}
    largest = batch(*[record(10**8 + n, cache_hits=0, **full, **times) for n in range(1_000)])

    assert largest.ByteSize() > 2_200_000
    assert (await stub.RecordNo(largest)).success


@pytest.mark.parametrize("page_size", [-1, 1_001, 2**31 - 1, -(2**31)])
async def test_a_page_size_outside_its_bounds_is_refused(stub: "StatsAsyncStub", page_size: int) -> None:
    refusal = await refusal_of(stub.ListStats(stats_pb2.ListStatsRequest(page_size=page_size)))

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, refusal.field) == ("PAGE_SIZE_OUT_OF_RANGE", "page_size")
    assert refusal.message == f"page_size must be from 1 to 1000, not {page_size}"
    assert refusal.facts == {"page_size": str(page_size), "limit": "1000"}


OURS = page_token(Order.N, Place(5, 10))


@pytest.mark.parametrize("token", ["x", "ä", OURS, OURS[:-1], OURS + "A", "A" * 2**20], ids=lambda token: token[:30])
async def test_a_page_token_that_is_not_ours_is_refused(stub: "StatsAsyncStub", token: str) -> None:
    refusal = await refusal_of(stub.ListStats(stats_pb2.ListStatsRequest(page_token=token)))

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, refusal.field) == ("PAGE_TOKEN_FOREIGN", "page_token")


@pytest.mark.parametrize("order", [-1, 5, 2**31 - 1])
async def test_an_order_that_is_not_known_is_refused(stub: "StatsAsyncStub", order: int) -> None:
    request = stats_pb2.ListStatsRequest(order=stats_pb2.Order.ValueType(order))
    refusal = await refusal_of(stub.ListStats(request))

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, refusal.field) == ("ORDER_UNKNOWN", "order")


async def test_a_negative_number_is_refused(stub: "StatsAsyncStub") -> None:
    refusal = await refusal_of(stub.GetNumberStats(stats_pb2.GetNumberStatsRequest(n=-1)))

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, refusal.field, refusal.facts) == ("INDEX_NEGATIVE", "n", {"n": "-1"})


@pytest.mark.parametrize(
    "interval",
    [
        Duration(),
        Duration(seconds=-1),
        Duration(nanos=99_999_999),
        Duration(seconds=60, nanos=1),
        Duration(seconds=315_576_000_000),
        Duration(seconds=-(2**63)),
    ],
    ids=str,
)
async def test_an_interval_outside_its_bounds_is_refused(stub: "StatsAsyncStub", interval: Duration) -> None:
    refusal = await refusal_of(stub.WatchStats(stats_pb2.WatchStatsRequest(interval=interval)).read())

    assert refusal.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refusal.reason, refusal.field) == ("INTERVAL_OUT_OF_RANGE", "interval")
