"""What Linux tells of processes, by those of this test."""

import os
import subprocess
import sys

import pytest

from fibonacci_service.worker_usage import CpuSeconds, is_told, resident_bytes

pytestmark = pytest.mark.skipif(not is_told(), reason="this system does not tell it")


def test_a_process_that_has_ended_takes_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

    assert resident_bytes([process.pid]) == 0
    assert CpuSeconds(lambda: [process.pid])() >= 0


def test_processor_time_is_that_of_user_and_kernel_and_never_goes_down() -> None:
    pids = [os.getpid()]
    told = CpuSeconds(lambda: pids)
    before, found, after = sum(os.times()[:4]), told(), sum(os.times()[:4])
    pids.clear()

    assert before - 0.1 <= found <= after + 0.1  # which are cut to hundredths
    assert told() == found > 0
