"""Between the contract's messages and what the account is made of."""

from collections.abc import Iterable, Mapping

from google.protobuf.timestamp_pb2 import Timestamp

from service_kit.pb.stats import stats_pb2
from stats_service.batch import Batch
from stats_service.errors import RecordRefused
from stats_service.measures import Measures, MinuteTotals, NumberMeasures
from stats_service.paging import Order, Place, page_token
from stats_service.records import ErrorRecord, NumberRecord, OperationRecord, histogram_of, single
from stats_service.summary import Page, Totals

_MS = 1e6
#: The last second that a Timestamp may hold, of the year 9999.
_LAST_SECOND = 253_402_300_799


def batch_of(request: stats_pb2.RecordRequest) -> Batch:
    """The batch of a request, checked. Raises RecordRefused."""
    if not request.source:
        if any(request.HasField(time) for time in ("start_time", "end_time")) or (
            request.records or request.errors or request.operations or request.sequence
        ):
            raise RecordRefused("source", "must be set where anything but n and duration is")
        return Batch(records=[single(request.n, request.duration)])
    if request.n or request.duration:
        raise RecordRefused("n" if request.n else "duration", "must be 0 where source is set")
    batch = Batch(
        records=[_number_record(record, position) for position, record in enumerate(request.records)],
        errors=[ErrorRecord(error.n, error.kind, error.count) for error in request.errors],
        operations=[OperationRecord(record.operation, record.count) for record in request.operations],
        source=request.source,
        sequence=request.sequence,
        start_time=_seconds(request.start_time, "start_time") if request.HasField("start_time") else None,
        end_time=_seconds(request.end_time, "end_time") if request.HasField("end_time") else None,
    )
    batch.check()
    return batch


def list_response(page: Page, order: Order) -> stats_pb2.ListStatsResponse:
    last = page.numbers[-1] if page.more else None
    return stats_pb2.ListStatsResponse(
        total_requests=page.totals.all.count,
        total_cache_hits=page.totals.all.cache_hits,
        fibonacci_stats=map(stat, page.numbers),
        totals=totals(page.totals),
        next_page_token=page_token(order, Place(last.measures.count, last.n)) if last else "",
    )


def totals(summary: Totals) -> stats_pb2.Totals:
    return stats_pb2.Totals(
        all=_stat(0, summary.all),
        numbers=summary.numbers,
        folded=_stat(0, summary.folded),
        operations=[
            stats_pb2.OperationCount(operation=_operation(operation), count=count)
            for operation, count in summary.operations.items()
        ],
    )


def stat(number: NumberMeasures) -> stats_pb2.FibonacciStat:
    return _stat(number.n, number.measures)


def minute(of: MinuteTotals) -> stats_pb2.MinuteStat:
    return stats_pb2.MinuteStat(
        start_time=Timestamp(seconds=of.minute * 60),
        request_count=of.count,
        cache_hits=of.cache_hits,
        coalesced=of.coalesced,
        errors=of.errors,
        average_time_ms=of.total_ns / of.count / _MS if of.count else 0.0,
    )


def _number_record(record: stats_pb2.NumberRecord, position: int) -> NumberRecord:
    return NumberRecord(
        record.n,
        record.count,
        record.cache_hits,
        record.coalesced,
        record.total_duration,
        record.min_duration,
        record.max_duration,
        histogram_of(record.buckets[:], record.bucket_counts[:], position),
    )


def _stat(n: int, measures: Measures) -> stats_pb2.FibonacciStat:
    return stats_pb2.FibonacciStat(
        n=n,
        request_count=measures.count,
        average_time_ms=measures.mean_ns / _MS,
        cache_hits=measures.cache_hits,
        min_time_ms=measures.shortest_ns / _MS,
        max_time_ms=measures.max_ns / _MS,
        cache_misses=measures.cache_misses,
        coalesced=measures.coalesced,
        p50_time_ms=_ms(measures.percentile_ns(0.5)),
        p90_time_ms=_ms(measures.percentile_ns(0.9)),
        p99_time_ms=_ms(measures.percentile_ns(0.99)),
        first_seen=_timestamp(measures.first_seen),
        last_seen=_timestamp(measures.last_seen),
        errors=_errors(measures.errors),
    )


def _errors(counts: Mapping[int, int]) -> Iterable[stats_pb2.ErrorCount]:
    return [stats_pb2.ErrorCount(kind=_kind(kind), count=count) for kind, count in sorted(counts.items())]


def _kind(number: int) -> stats_pb2.ErrorKind.ValueType:
    return stats_pb2.ErrorKind.ValueType(number)


def _operation(number: int) -> stats_pb2.Operation.ValueType:
    return stats_pb2.Operation.ValueType(number)


def _ms(ns: float | None) -> float | None:
    return None if ns is None else ns / _MS


def _timestamp(seconds: float) -> Timestamp | None:
    """None where the time is not known."""
    if not seconds:
        return None
    whole, fraction = divmod(seconds, 1)
    return Timestamp(seconds=int(whole), nanos=int(fraction * 1e6) * 1000)


def _seconds(timestamp: Timestamp, field: str) -> float:
    """Raises RecordRefused where it is no time after 1970."""
    if not (0 <= timestamp.seconds <= _LAST_SECOND and 0 <= timestamp.nanos < 10**9):
        raise RecordRefused(field, "must be a valid time after 1970")
    return timestamp.seconds + timestamp.nanos / 1e9
