"""Clients that reset their connection while a large answer is on its way leave nothing in the gateway."""

import socket
import struct
import time

import httpx
import pytest

from deploy.local.processes import System
from tests.system.conftest import Report
from tests.system.resources import own_bytes
from tests.system.scraped import scraped
from tests.system.workers import wait_until

pytestmark = pytest.mark.slow

#: Those in which the heap gets as large as it has to be, and those that follow.
FIRST_CLIENTS, CLIENTS = 500, 1_500
#: Of what was asked for the gateway held 100 kB and more for each before it gave such calls up as it does.
MORE_BYTES = 32 << 20
#: When a client leaves after it has asked: before, while and after the gateway gets the answer.
LEAVES_AFTER_SECONDS = (0.001, 0.002, 0.004)


def leave(port: int, n: int, seconds: float) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /fib?n=%d HTTP/1.1\r\nHost: gateway\r\n\r\n" % n)
        time.sleep(seconds)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def held_after(system: System, n: int, clients: int) -> int:
    """Bytes of the gateway once so many clients are gone."""
    for place in range(clients):
        leave(system.gateway.port, n, LEAVES_AFTER_SECONDS[place % len(LEAVES_AFTER_SECONDS)])
    wait_until(lambda: scraped(system, system.gateway).value("http_server_connections") == 1)  # that of the scrape
    return own_bytes(system.gateway.pid)


@pytest.mark.parametrize("n", [5_000_000, 5_500_000], ids=["in one message", "streamed"])
def test_what_clients_leave_behind_does_not_add_up(system: System, n: int, report: Report) -> None:
    assert httpx.get(f"{system.url}/fib?n={n}", timeout=30).status_code == 200
    before = held_after(system, n, FIRST_CLIENTS)
    after = held_after(system, n, CLIENTS)
    report(f"{CLIENTS} clients that left; {before} -> {after} bytes")
    assert after < before + MORE_BYTES
