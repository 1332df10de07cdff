"""On a child process that takes as much as it is told."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.sizes.memory import PeakWatch

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the figures come from Linux")

SIZE = 32 << 20
CHILD = f"""
print("ready", flush=True)
input()
taken = b"x" * {SIZE}
del taken
print("given back", flush=True)
input()
"""


def test_a_peak_that_is_over_is_still_known() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
        with PeakWatch({"child": child.pid}) as watch:
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.readline()
        growth = watch.peak_rss_growth()["child"]
        child.communicate(b"\n")

    assert SIZE - (1 << 20) < growth < SIZE + (4 << 20)
    assert watch.peak_pss_growth(lambda sample: sample["child"]) <= SIZE + (4 << 20)
