"""deploy/prometheus as it is written, and the programs that read it."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "deploy" / "prometheus"
CONFIGURATION = FOLDER / "prometheus.yml"
RULE_TESTS = sorted((FOLDER / "tests").glob("*.yml"))


def program(name: str) -> str:
    """Where `prometheus` or `promtool` is; a test that needs one fails without it."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} was not found; install it, for example with the Debian package prometheus")
    return found


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def rules(kind: str) -> list[dict[str, Any]]:
    """Those of all files: `kind` is alert or record."""
    files = sorted((FOLDER / "rules").glob("*.yml"))
    return [rule for file in files for group in read(file)["groups"] for rule in group["rules"] if kind in rule]
