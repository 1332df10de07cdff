"""What deploy/prometheus says is well formed, does what its rule tests say, and is explained in docs/operations.md."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.prometheus import CONFIGURATION, FOLDER, ROOT, RULE_TESTS, program, read, rules
from tests.test_documentation import section

OPERATIONS = "docs/operations.md"
ALERTS = rules("alert")
NAMES = sorted({rule["alert"] for rule in ALERTS})

each_alert = pytest.mark.parametrize("name", NAMES)


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def expectations(name: str) -> Iterator[list[dict[str, Any]]]:
    """What the rule tests expect of an alert, each time that they look at it."""
    for file in RULE_TESTS:
        for test in read(file)["tests"]:
            for look in test["alert_rule_test"]:
                if look["alertname"] == name:
                    yield look["exp_alerts"]


@pytest.mark.slow  # not for its time: `make test` asks for no program that the package index does not have
def test_promtool_accepts_the_configuration_and_its_rules() -> None:
    promtool("check", "config", CONFIGURATION)
    promtool("check", "rules", *sorted((FOLDER / "rules").glob("*.yml")))


@pytest.mark.slow
@pytest.mark.parametrize("file", RULE_TESTS, ids=lambda file: file.stem)
def test_the_rules_do_what_their_tests_say(file: Path) -> None:
    promtool("test", "rules", file)


def test_a_missing_promtool_is_a_failure_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(pytest.fail.Exception, match=r"^promtool was not found; .* Debian package prometheus$"):
        promtool("check", "config", CONFIGURATION)


@each_alert
def test_an_alert_is_tested_for_what_fires_it_and_for_what_does_not(name: str) -> None:
    severities = {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
    expected = list(expectations(name))

    assert {alert["exp_labels"]["severity"] for alerts in expected for alert in alerts} == severities
    assert [] in expected


@each_alert
def test_an_alert_has_its_meaning_and_three_first_steps_in_the_document(name: str) -> None:
    meaning, *steps = re.split(r"^\d\. ", section(OPERATIONS, f"### {name}"), flags=re.MULTILINE)

    assert meaning.strip()
    assert len(steps) == 3


@each_alert
def test_an_alert_says_how_urgent_it_is_what_is_wrong_and_where_that_is_explained(name: str) -> None:
    for rule in ALERTS:
        if rule["alert"] == name:
            assert rule["labels"]["severity"] in {"page", "ticket"}
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["runbook_url"] == f"{OPERATIONS}#{name.lower()}"


def test_the_document_explains_no_other_alert() -> None:
    text = (ROOT / OPERATIONS).read_text(encoding="utf-8")
    _, _, alerts = text.partition("## Alerts\n")
    headings = re.findall(r"^### (.*)$", re.split(r"^## ", alerts, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)

    assert sorted(headings) == NAMES


def test_the_rules_of_an_objective_differ_by_their_window_alone() -> None:
    windows: dict[str, set[str]] = defaultdict(set)
    bodies: dict[str, set[str]] = defaultdict(set)
    for rule in rules("record"):
        name, _, window = rule["record"].rpartition(":rate")
        if name == "slo:error_ratio":
            windows[rule["labels"]["slo"]].add(window)
            bodies[rule["labels"]["slo"]].add(rule["expr"].replace(f"[{window}]", "[]"))

    assert set(map(frozenset, windows.values())) == {frozenset({"5m", "30m", "1h", "6h", "3d"})}
    assert [len(body) for body in bodies.values()] == [1] * len(budgets())
    assert set(bodies) == budgets()


def test_the_burn_alerts_differ_by_their_objective_alone() -> None:
    """So what the rule tests show of the windows of one goes for all."""
    conditions = {
        (rule["labels"]["severity"], re.sub(r'slo="\w+"', "", rule["expr"]))
        for rule in ALERTS
        if rule["alert"].endswith("BudgetBurn")
    }

    assert len(conditions) == 2


def budgets() -> set[str]:
    """The objectives that have one."""
    return {rule["labels"]["slo"] for rule in rules("record") if rule["record"] == "slo:error_budget:ratio"}
