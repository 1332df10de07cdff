import json
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from api_gateway.schemas import Minutes, NumberStats, Stats, StatsChanges
from api_gateway.stats_json import changes_json, minutes_json, number_json, page_json
from service_kit.pb.stats.stats_pb2 import (
    ErrorCount,
    ErrorKind,
    FibonacciStat,
    GetNumberStatsResponse,
    ListMinutesResponse,
    ListStatsResponse,
    MinuteStat,
    Operation,
    OperationCount,
    Totals,
    WatchStatsResponse,
)

STAT = FibonacciStat(
    n=20,
    request_count=9,
    average_time_ms=0.125,
    min_time_ms=0.0625,
    max_time_ms=2.5,
    cache_hits=5,
    cache_misses=3,
    coalesced=1,
    p50_time_ms=0.1,
    p90_time_ms=1.5,
    p99_time_ms=2.4,
    first_seen=Timestamp(seconds=1_790_000_000),
    last_seen=Timestamp(seconds=1_790_000_059, nanos=250_001_000),
    errors=[ErrorCount(kind=ErrorKind.WORKERS_BUSY, count=2), ErrorCount(kind=ErrorKind.WORKER_LOST, count=1)],
)
MEASURES = {
    "request_count": 9,
    "average_time_ms": 0.125,
    "min_time_ms": 0.0625,
    "max_time_ms": 2.5,
    "cache_hits": 5,
    "cache_misses": 3,
    "coalesced": 1,
    "errors": {"workers_busy": 2, "worker_lost": 1},
    "p50_time_ms": 0.1,
    "p90_time_ms": 1.5,
    "p99_time_ms": 2.4,
    "first_seen": "2026-09-21T14:13:20Z",
    "last_seen": "2026-09-21T14:14:19.250001Z",
}
OF_NOTHING = dict.fromkeys(MEASURES, 0) | dict.fromkeys(
    ("p50_time_ms", "p90_time_ms", "p99_time_ms", "first_seen", "last_seen")
)
OF_NOTHING["errors"] = {}
TOTALS = Totals(
    all=STAT,
    numbers=7,
    folded=STAT,
    operations=[
        OperationCount(operation=Operation.RANGE, count=4),
        OperationCount(operation=Operation.RESIDUE, count=1),
    ],
)
TOTALS_JSON = MEASURES | {"numbers": 7, "folded": MEASURES, "operations": {"range": 4, "residue": 1}}


def test_a_page_has_every_measure_of_every_number_and_of_all_together() -> None:
    response = ListStatsResponse(
        total_requests=9,
        total_cache_hits=5,
        fibonacci_stats=[STAT, STAT],
        totals=TOTALS,
        next_page_token="behind",  # noqa: S106 - no secret
    )
    assert json.loads(page_json(response)) == {
        "total_requests": 9,
        "total_cache_hits": 5,
        "totals": TOTALS_JSON,
        "fibonacci_stats": [{"n": 20} | MEASURES] * 2,
        "next_page_token": "behind",
    }


def test_an_event_has_what_a_page_has_but_for_the_token() -> None:
    response = WatchStatsResponse(total_requests=9, total_cache_hits=5, fibonacci_stats=[STAT], totals=TOTALS)
    assert json.loads(changes_json(response)) == {
        "total_requests": 9,
        "total_cache_hits": 5,
        "totals": TOTALS_JSON,
        "fibonacci_stats": [{"n": 20} | MEASURES],
    }


def test_a_number_has_its_measures() -> None:
    assert json.loads(number_json(GetNumberStatsResponse(stat=STAT))) == {"n": 20} | MEASURES


def test_a_minute_has_its_totals() -> None:
    minute = MinuteStat(
        start_time=Timestamp(seconds=1_789_999_980),
        request_count=9,
        cache_hits=5,
        coalesced=1,
        errors=3,
        average_time_ms=0.125,
    )
    assert json.loads(minutes_json(ListMinutesResponse(minutes=[minute]))) == {
        "minutes": [
            {
                "start_time": "2026-09-21T14:13:00Z",
                "request_count": 9,
                "average_time_ms": 0.125,
                "cache_hits": 5,
                "coalesced": 1,
                "errors": 3,
            }
        ]
    }


def test_an_account_of_nothing_has_every_field() -> None:
    totals = OF_NOTHING | {"numbers": 0, "folded": None, "operations": {}}
    empty = {"total_requests": 0, "total_cache_hits": 0, "totals": totals, "fibonacci_stats": []}
    assert json.loads(page_json(ListStatsResponse())) == empty | {"next_page_token": None}
    assert json.loads(changes_json(WatchStatsResponse())) == empty


def test_what_is_not_known_of_a_number_is_null_and_a_time_of_zero_is_not() -> None:
    assert json.loads(number_json(GetNumberStatsResponse(stat=FibonacciStat(n=5)))) == {"n": 5} | OF_NOTHING
    stat = FibonacciStat(n=5, p50_time_ms=0.0, p90_time_ms=0.0, p99_time_ms=0.0)
    expected = OF_NOTHING | {"p50_time_ms": 0.0, "p90_time_ms": 0.0, "p99_time_ms": 0.0}
    assert json.loads(number_json(GetNumberStatsResponse(stat=stat))) == {"n": 5} | expected


def test_every_kind_of_error_and_operation_goes_by_its_name_and_a_newer_one_by_its_number() -> None:
    kinds, operations = (*range(5), 17), (*range(4), 9)
    stat = FibonacciStat(errors=[ErrorCount(kind=ErrorKind.ValueType(kind), count=kind + 1) for kind in kinds])
    uses = [OperationCount(operation=Operation.ValueType(use), count=use + 1) for use in operations]
    totals = json.loads(page_json(ListStatsResponse(totals=Totals(all=stat, operations=uses))))["totals"]
    assert totals["errors"] == {
        "kind_0": 1,
        "workers_busy": 2,
        "worker_lost": 3,
        "cancelled": 4,
        "internal": 5,
        "kind_17": 18,
    }
    assert totals["operations"] == {"operation_0": 1, "range": 2, "residue": 3, "description": 4, "operation_9": 10}


@pytest.mark.parametrize(
    ("folded", "told"),
    [
        (FibonacciStat(), False),
        (FibonacciStat(request_count=1), True),
        (FibonacciStat(errors=[ErrorCount(kind=ErrorKind.INTERNAL, count=1)]), True),
    ],
    ids=["nothing", "requests", "errors alone"],
)
def test_the_folded_row_is_told_where_there_is_anything_in_it(folded: FibonacciStat, told: bool) -> None:  # noqa: FBT001
    page = json.loads(page_json(ListStatsResponse(totals=Totals(folded=folded))))
    assert (page["totals"]["folded"] is not None) is told


@pytest.mark.parametrize("stat", [STAT, FibonacciStat()], ids=["everything", "nothing"])
def test_whatever_is_answered_fits_the_schema_that_is_documented(stat: FibonacciStat) -> None:
    fields: dict[str, Any] = {"fibonacci_stats": [stat], "totals": Totals(all=stat, folded=stat)}
    Stats.model_validate_json(page_json(ListStatsResponse(**fields)), extra="forbid")
    StatsChanges.model_validate_json(changes_json(WatchStatsResponse(**fields)), extra="forbid")
    NumberStats.model_validate_json(number_json(GetNumberStatsResponse(stat=stat)), extra="forbid")
    Minutes.model_validate_json(minutes_json(ListMinutesResponse(minutes=[MinuteStat()])), extra="forbid")
