from pathlib import Path

import pytest

from bench.errors import BenchmarkFailed
from bench.h2load import Response, check_responses, parse_log, requests_of_each, send_load, summarize

LOG = "1000000\t200\t500\n1000500\t204\t1500\n1001000\t200\t1000\n"


def test_a_row_of_the_log_is_start_status_and_duration() -> None:
    assert parse_log(LOG) == [Response(1000000, 200, 500), Response(1000500, 204, 1500), Response(1001000, 200, 1000)]


def test_a_later_column_of_the_log_is_ignored() -> None:
    assert parse_log("1\t-1\t3\textra\n") == [Response(1, -1, 3)]


def test_the_rate_runs_from_the_first_start_to_the_last_end() -> None:
    load = summarize(parse_log(LOG))

    assert load.requests_per_second == 1500.0
    assert (load.p50_ms, load.p99_ms) == (1.0, 1.5)


def test_every_response_of_2xx_passes() -> None:
    check_responses(parse_log(LOG), requests=3)


def test_a_missing_response_fails_the_run() -> None:
    with pytest.raises(BenchmarkFailed, match="4 requests were sent and 3 answered"):
        check_responses(parse_log(LOG), requests=4)


def test_responses_that_are_not_2xx_fail_the_run_and_are_counted_by_status() -> None:
    responses = [Response(1, status, 1) for status in (200, 503, -1, 503, 304)]

    with pytest.raises(BenchmarkFailed, match=r"of 5 .* not 2xx: 1 of status -1, 1 of status 304, 2 of status 503"):
        check_responses(responses, requests=5)


def test_a_client_that_hangs_is_ended_and_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.h2load.PROGRAM", _program(tmp_path, "exec sleep 60"))

    monkeypatch.setattr("bench.h2load.TIMEOUT_SECONDS", 0.2)

    with pytest.raises(BenchmarkFailed, match=r"5 requests were not answered within 0\.2 s"):
        send_load(["http://127.0.0.1:1/"], requests=5, connections=1, folder=tmp_path)


def test_a_client_that_fails_fails_the_run_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.h2load.PROGRAM", _program(tmp_path, "echo no such option >&2; exit 3"))

    with pytest.raises(BenchmarkFailed, match="ended with status 3: no such option"):
        send_load(["http://127.0.0.1:1/"], requests=5, connections=1, folder=tmp_path)


@pytest.mark.parametrize(
    ("places", "requests", "connections", "expected"),
    [
        ([10], 7, 2, {10: 7}),
        ([0, 1, 2], 3, 3, {0: 3}),
        ([0, 1, 2], 7, 2, {0: 3, 1: 2, 2: 2}),
        ([0, 1, 2], 8, 2, {0: 4, 1: 2, 2: 2}),
        ([0, 1], 1, 8, {0: 1}),
    ],
)
def test_each_connection_goes_round_the_places_from_the_first(
    places: list[int], requests: int, connections: int, expected: dict[int, int]
) -> None:
    assert requests_of_each(places, requests=requests, connections=connections) == expected


def _program(folder: Path, script: str) -> str:
    path = folder / "client"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
