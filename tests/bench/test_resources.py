"""On this process and on a child, whose figures the kernel knows."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench.ceilings import BARE_ASGI, new_ceiling
from bench.figures import Load
from bench.resources import child_pids, cpu_seconds, measured_turn, pss_bytes, start_seconds
from deploy.local.processes import ServiceProcess

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the figures come from Linux")


def test_the_figures_of_a_process_are_of_the_right_order() -> None:
    with new_ceiling(BARE_ASGI) as ceiling:
        assert 0.05 < cpu_seconds([ceiling])[BARE_ASGI] < 20
        assert 5 << 20 < pss_bytes([ceiling])[BARE_ASGI] < 500 << 20
        assert 0.05 < start_seconds(ceiling) < 20
    assert ceiling.process.poll() is not None


def test_the_figures_of_a_process_include_its_children() -> None:
    """This process stands in for a service: it starts a child that takes memory and then ends."""
    service = cast("ServiceProcess", SimpleNamespace(program="tests", pid=os.getpid()))
    code = "taken = b'x' * (64 << 20); print(len(taken), flush=True); input()"
    alone = pss_bytes([service])["tests"]
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert child.pid in child_pids(os.getpid())
        assert pss_bytes([service])["tests"] > alone + (60 << 20)
        before = cpu_seconds([service])["tests"]
        child.communicate(b"\n")

    assert child.pid not in child_pids(os.getpid())
    # The kernel rounds the time of a child that has ended to ticks anew: a tick less is none lost.
    assert cpu_seconds([service])["tests"] >= before - 0.02


def test_a_turn_has_the_processor_time_of_a_request_by_program() -> None:
    """This process stands in for two services of one program, so its time counts twice."""
    service = cast("ServiceProcess", SimpleNamespace(program="tests", pid=os.getpid()))
    load = Load(requests_per_second=1, p50_ms=1, p99_ms=1)

    def work() -> Load:
        ends = time.process_time() + 0.1
        while time.process_time() < ends:
            pass
        return load

    turn = measured_turn([service, service], 1000, work)

    assert turn.load == load
    assert 160 < turn.cpu_us["tests"] < 2000
