"""How soon a computation ends whose client has gone, and what a residue of long operands takes."""

import json
import random
import socket
import time

from bench import aims
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part
from bench.resources import child_pids, process_cpu_seconds
from bench.sizes.client import Client, check_digits
from bench.sizes.fresh_indices import FreshIndices
from bench.sizes.library import Library
from bench.sizes.workers import is_there, start_workers, wait_until
from bench.system import new_system

#: Large enough for the computation to be seen under way: above the default limit.
LONG_INDEX = 50_000_000
OPERAND_DIGITS = 1_000
SMALL_CHECK_INDEX = 200_000
#: Processor time after which a worker counts as at work: two of the kernel's ticks.
AT_WORK_SECONDS = 0.02
_SEED = 20_261


def measure_cancellation(library: Library, fresh: FreshIndices, *, repetitions: int) -> Part:
    with new_system({"FIBONACCI_MAX_N": LONG_INDEX}) as system, Client(system.gateway.port) as client:
        gone = []
        for _ in range(repetitions):
            start_workers(system)
            gone.append(_cancelled_ms(system.gateway.port, system.fibonacci.pid, fresh.take(LONG_INDEX)))
        n = fresh.take(SMALL_CHECK_INDEX)
        check_digits(n, client.get_digits(n).body, library.measure("value", n))
        residues = [_residue_ms(client, random.Random(_SEED + turn)) for turn in range(repetitions)]  # noqa: S311
    figures = [
        Figure("from the client's leaving until its workers are gone, ms", gone, aims.CANCELLATION_MS),
        Figure(f"residue of operands of {OPERAND_DIGITS:,} digits, ms", residues),
    ]
    return Part("cancellation", "A client that leaves, and residues", figures)


def _cancelled_ms(port: int, service_pid: int, n: int) -> float:
    """The connection is closed once a worker computes; what counts is when every such worker is gone."""
    before = {pid: process_cpu_seconds(pid) for pid in child_pids(service_pid)}

    def at_work() -> list[int]:
        return [pid for pid in before if process_cpu_seconds(pid) >= before[pid] + AT_WORK_SECONDS]

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /fib?n=%d HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/plain\r\n\r\n" % n)
        wait_until(lambda: bool(at_work()), "a worker should be at work")
        time.sleep(AT_WORK_SECONDS)
        workers = at_work()
    left = time.perf_counter()
    wait_until(lambda: not any(map(is_there, workers)), "the workers of a client that has left should be gone")
    return (time.perf_counter() - left) * 1000


def _residue_ms(client: Client, numbers: random.Random) -> float:
    n, modulus = (numbers.randrange(10 ** (OPERAND_DIGITS - 1), 10**OPERAND_DIGITS) for _ in range(2))
    answer = client.get(f"/fib/residue?n={n}&modulus={modulus}")
    if int(json.loads(answer.body)["residue"]) != residue(n, modulus):
        raise BenchmarkFailed(f"GET /fib/residue?n={str(n)[:20]}... answered another number")
    return answer.seconds * 1000


def residue(n: int, modulus: int) -> int:
    """F(n) modulo a number by doubling: F(2k) = F(k) (2 F(k+1) - F(k)), F(2k+1) = F(k)^2 + F(k+1)^2."""
    number, following = 0, 1
    for bit in f"{n:b}":
        even = number * (2 * following - number) % modulus
        odd = (number * number + following * following) % modulus
        number, following = (odd, (even + odd) % modulus) if bit == "1" else (even, odd)
    return number % modulus
