"""On this process and on a child, whose figures the kernel knows."""

from pathlib import Path

import pytest

from bench.ceiling import PROGRAM, ceiling_process
from bench.resources import cpu_seconds, pss_bytes, start_seconds

pytestmark = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the figures come from Linux")


def test_the_figures_of_a_process_are_of_the_right_order() -> None:
    with ceiling_process() as ceiling:
        assert 0.05 < cpu_seconds([ceiling])[PROGRAM] < 20
        assert 5 << 20 < pss_bytes([ceiling])[PROGRAM] < 500 << 20
        assert 0.05 < start_seconds(ceiling) < 20
    assert ceiling.process.poll() is not None
