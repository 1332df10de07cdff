"""What stats_service answers, as JSON in the shape of schemas.py.

Made of plain dictionaries: a hundred pydantic models cost more than the rest of the answer, and what comes from our own
service need not be validated. tests/api_gateway/test_stats_json.py holds it to the schemas.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from google.protobuf.timestamp_pb2 import Timestamp

from service_kit.pb.stats.stats_pb2 import (
    ErrorCount,
    ErrorKind,
    FibonacciStat,
    GetNumberStatsResponse,
    ListMinutesResponse,
    ListStatsResponse,
    MinuteStat,
    Operation,
    Totals,
    WatchStatsResponse,
)

Fields = dict[str, Any]

# UNSPECIFIED says no more than a number that is not listed.
_ERROR_KINDS: dict[int, str] = {number: name.lower() for name, number in ErrorKind.items() if number}
_OPERATIONS: dict[int, str] = {number: name.lower() for name, number in Operation.items() if number}


def page_json(response: ListStatsResponse) -> bytes:
    return _dumped(_account(response) | {"next_page_token": response.next_page_token or None})


def changes_json(response: WatchStatsResponse) -> bytes:
    return _dumped(_account(response))


def number_json(response: GetNumberStatsResponse) -> bytes:
    return _dumped(_number(response.stat))


def minutes_json(response: ListMinutesResponse) -> bytes:
    return _dumped({"minutes": [_minute(minute) for minute in response.minutes]})


def _dumped(fields: Fields) -> bytes:
    return orjson.dumps(fields, option=orjson.OPT_UTC_Z)


def _account(response: ListStatsResponse | WatchStatsResponse) -> Fields:
    return {
        "total_requests": response.total_requests,
        "total_cache_hits": response.total_cache_hits,
        "totals": _totals(response.totals),
        "fibonacci_stats": [_number(stat) for stat in response.fibonacci_stats],
    }


def _number(stat: FibonacciStat) -> Fields:
    has = stat.HasField
    return {
        "n": stat.n,
        "request_count": stat.request_count,
        "average_time_ms": stat.average_time_ms,
        "min_time_ms": stat.min_time_ms,
        "max_time_ms": stat.max_time_ms,
        "cache_hits": stat.cache_hits,
        "cache_misses": stat.cache_misses,
        "coalesced": stat.coalesced,
        "errors": _errors(stat.errors) if stat.errors else {},
        "p50_time_ms": stat.p50_time_ms if has("p50_time_ms") else None,
        "p90_time_ms": stat.p90_time_ms if has("p90_time_ms") else None,
        "p99_time_ms": stat.p99_time_ms if has("p99_time_ms") else None,
        "first_seen": _time(stat.first_seen) if has("first_seen") else None,
        "last_seen": _time(stat.last_seen) if has("last_seen") else None,
    }


def _measures(stat: FibonacciStat) -> Fields:
    """Those of many numbers together, which have no n."""
    fields = _number(stat)
    del fields["n"]
    return fields


def _totals(totals: Totals) -> Fields:
    operations = {_name(_OPERATIONS, use.operation, "operation"): use.count for use in totals.operations}
    folded = _measures(totals.folded) if totals.folded.request_count or totals.folded.errors else None
    return _measures(totals.all) | {"numbers": totals.numbers, "operations": operations, "folded": folded}


def _errors(counts: Iterable[ErrorCount]) -> dict[str, int]:
    return {_name(_ERROR_KINDS, error.kind, "kind"): error.count for error in counts}


def _name(names: dict[int, str], number: int, kind: str) -> str:
    """The name of an enumerator, or its number where it is newer than this release."""
    return names.get(number) or f"{kind}_{number}"


def _minute(minute: MinuteStat) -> Fields:
    return {
        "start_time": _time(minute.start_time),
        "request_count": minute.request_count,
        "average_time_ms": minute.average_time_ms,
        "cache_hits": minute.cache_hits,
        "coalesced": minute.coalesced,
        "errors": minute.errors,
    }


def _time(stamp: Timestamp) -> datetime:
    return datetime.fromtimestamp(stamp.seconds + stamp.nanos / 1e9, UTC)
