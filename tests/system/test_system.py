"""One pass over the three real processes, as a user would try them."""

import httpx

from deploy.local.processes import System


def test_the_numbers_and_their_account_reach_the_user(system: System) -> None:
    for _ in range(2):
        assert httpx.get(f"{system.url}/fib?n=10").json() == {"n": 10, "x": 55, "value": "55"}
    system.stats.wait_for("rpc.served", method="/stats.Stats/RecordNo")
