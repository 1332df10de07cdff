import json

import pytest

from bench.stats.readings import is_account


@pytest.mark.parametrize(("total", "rows", "right"), [(5, 1, True), (5, 100, True), (5, 101, False), (0, 0, False)])
def test_an_account_has_a_total_and_at_most_a_hundred_rows(total: int, rows: int, right: bool) -> None:  # noqa: FBT001
    body = json.dumps({"total_requests": total, "fibonacci_stats": [{"n": n} for n in range(rows)]}).encode()

    assert is_account(body) is right
