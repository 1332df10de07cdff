"""On this process and on a child, whose figures the kernel knows."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench.ceiling import PROGRAM, ceiling_process
from bench.resources import child_pids, cpu_seconds, pss_bytes, start_seconds
from deploy.local.processes import ServiceProcess

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the figures come from Linux")


def test_the_figures_of_a_process_are_of_the_right_order() -> None:
    with ceiling_process() as ceiling:
        assert 0.05 < cpu_seconds([ceiling])[PROGRAM] < 20
        assert 5 << 20 < pss_bytes([ceiling])[PROGRAM] < 500 << 20
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
