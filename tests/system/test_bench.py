"""The benchmark in short, on the real processes. It judges counts and bodies and no time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

PARTS = {
    "gateway": ["gateway-1", "gateway-8", "gateway-whole"],
    "rpc": ["rpc"],
    "replicas": ["replicas"],
    "stats": ["stats-record", "stats-sqlite-small", "stats-postgresql", "stats-sqlite-large", "stats-readings"],
    "sizes": ["values", "ranges", "starvation", "memory", "predictions", "cancellation"],
    "overload": ["overload"],
    "soak": ["soak"],
}


@pytest.mark.parametrize("measurement", PARTS)
def test_a_short_measurement_has_every_part_and_counts_every_request(measurement: str, tmp_path: Path) -> None:
    parts = measured(tmp_path, measurement)

    assert list(parts) == PARTS[measurement]
    figures = [figure for part in parts.values() for figure in part]
    assert all(figure["samples"] for figure in figures)
    counted = [figure["median"] for figure in figures if figure["name"].endswith("are counted")]
    assert all(count > 0 for count in counted)
    assert bool(counted) is (measurement not in {"sizes", "overload"})


def measured(folder: Path, measurement: str) -> dict[str, list[dict[str, Any]]]:
    written = folder / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", measurement, "--short", "--json", written],
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    parts: dict[str, list[dict[str, Any]]] = json.loads(written.read_text())["parts"]
    assert done.stdout.count("median (least-most)") == len(parts)
    return parts
