"""The benchmark in short, on the real processes. It judges counts and bodies and no speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_short_benchmark_counts_every_request_and_writes_its_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    sizes = ["--pairs", "1", "--requests", "200", "--connections", "1", "8"]
    done = subprocess.run(
        [sys.executable, "-m", "bench", *sizes, "--json", figures],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "| ratio ours/ceiling" in done.stdout
    runs = json.loads(figures.read_text())["runs"]
    # A warm-up of 20, one measured run of 200, and six bodies before and after.
    assert [(run["connections"], run["counted"]) for run in runs] == [(1, 232), (8, 232)]
    assert all(pair["ours"]["requests_per_second"] > 0 for run in runs for pair in run["pairs"])


def test_a_short_benchmark_of_sizes_has_every_part_and_judges_no_time(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "sizes", "--short", "--json", figures],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    parts = json.loads(figures.read_text())["parts"]
    assert list(parts) == ["values", "ranges", "starvation", "memory", "predictions", "cancellation"]
    assert all(figure["samples"] for part in parts.values() for figure in part)
    assert done.stdout.count("median (least-most)") == len(parts)
