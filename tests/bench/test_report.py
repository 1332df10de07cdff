import json

from bench.figures import Load, Pair, Result
from bench.report import as_json, table

EXPECTED = """\
|                                        | connections: 64     |
| -------------------------------------- | ------------------- |
| requests/s, ours                       | 2000 (1000-3000)    |
| requests/s, ceiling                    | 10000 (10000-10000) |
| ratio ours/ceiling                     | 0.200 (0.100-0.300) |
| p50 ms, ours                           | 1.50 (1.50-1.50)    |
| p50 ms, ceiling                        | 1.50 (1.50-1.50)    |
| p99 ms, ours                           | 4.00 (4.00-4.00)    |
| p99 ms, ceiling                        | 4.00 (4.00-4.00)    |
| CPU us/request, api_gateway            | 90.0 (90.0-90.0)    |
| CPU us/request, bench.ceiling          | 20.0 (20.0-20.0)    |
| PSS MiB at rest, after load, api_gateway | 1.0, 1.5            |
| start-up s, api_gateway                | 0.25                |
| requests sent = counted                | 4012                |"""


def test_the_table_has_a_row_for_each_figure() -> None:
    assert _cells(table([_result(64)])) == _cells(EXPECTED)


def test_the_table_has_a_column_for_each_number_of_connections_and_its_lines_are_of_one_width() -> None:
    lines = table([_result(1), _result(64), _result(256)]).splitlines()

    assert [cell.strip() for cell in lines[0].split("|")[2:-1]] == [f"connections: {count}" for count in (1, 64, 256)]
    assert len({len(line) for line in lines}) == 1


def test_the_json_holds_every_pair_the_machine_and_the_ratio() -> None:
    written = json.loads(as_json([_result(64)], machine={"cores": 2}, plan={"pairs": 3}))

    assert (written["machine"], written["plan"]) == ({"cores": 2}, {"pairs": 3})
    [run] = written["runs"]
    assert (run["connections"], run["counted"], len(run["pairs"])) == (64, 4012, 3)
    assert run["pairs"][0]["ours"] == {"requests_per_second": 1000, "p50_ms": 1.5, "p99_ms": 4.0}
    assert run["ratio_to_ceiling"] == {"median": 0.2, "least": 0.1, "most": 0.3}


def _cells(text: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return [row for row in rows if not set("".join(row)) <= {"-"}]


def _result(connections: int) -> Result:
    return Result(
        connections=connections,
        pairs=[
            Pair(ours=_load(rate), ceiling=_load(10_000), cpu_us={"api_gateway": 90.0, "bench.ceiling": 20.0})
            for rate in (1000, 3000, 2000)
        ],
        counted=4012,
        start_seconds={"api_gateway": 0.25},
        pss_at_rest_bytes={"api_gateway": 1 << 20},
        pss_after_load_bytes={"api_gateway": 3 << 19},
    )


def _load(requests_per_second: float) -> Load:
    return Load(requests_per_second=requests_per_second, p50_ms=1.5, p99_ms=4.0)
