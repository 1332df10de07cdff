"""What deploy/prometheus says is well formed, does what its rule tests say, and is explained in docs/operations.md."""

import re
import shutil
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
            for look in test.get("alert_rule_test", []):
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


@pytest.mark.slow
def test_the_documented_command_for_runbooks_leaves_the_rule_tests_valid(tmp_path: Path) -> None:
    [command] = re.findall(r"^sed -i .*$", section(OPERATIONS, "## Alerts"), flags=re.MULTILINE)
    copy = tmp_path / FOLDER.relative_to(ROOT)
    shutil.copytree(FOLDER, copy)

    subprocess.run(["/bin/sh", "-c", command], cwd=tmp_path, check=True)

    assert f": {OPERATIONS}#" not in (copy / "rules" / "alerts.yml").read_text(encoding="utf-8")
    for file in RULE_TESTS:
        promtool("test", "rules", copy / file.relative_to(FOLDER))


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
            # What is before it is the address where this document is kept, once that was put there.
            assert rule["annotations"]["runbook_url"].endswith(f"{OPERATIONS}#{name.lower()}")


def test_no_alert_says_a_rate_in_thousandths() -> None:
    """As `humanize` has it below 1: 101.3m requests a second."""
    assert not [rule["alert"] for rule in ALERTS if re.search(r"humanize\b", rule["annotations"]["summary"])]


def test_the_document_explains_no_other_alert() -> None:
    text = (ROOT / OPERATIONS).read_text(encoding="utf-8")
    _, _, alerts = text.partition("## Alerts\n")
    headings = re.findall(r"^### (.*)$", re.split(r"^## ", alerts, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)

    assert sorted(headings) == NAMES


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [("slo:error_ratio:rate", {"5m", "30m", "1h", "6h", "3d"}), ("slo:events:increase", {"1h", "6h", "3d"})],
)
def test_the_rules_of_an_objective_differ_by_their_window_alone(recorded: str, expected: set[str]) -> None:
    windows: dict[str, set[str]] = defaultdict(set)
    bodies: dict[str, set[str]] = defaultdict(set)
    for rule in rules("record"):
        _, found, window = rule["record"].rpartition(recorded)
        if found:
            windows[rule["labels"]["slo"]].add(window)
            bodies[rule["labels"]["slo"]].add(rule["expr"].replace(f"[{window}]", "[]"))

    assert set(map(frozenset, windows.values())) == {frozenset(expected)}
    assert [len(body) for body in bodies.values()] == [1] * len(budgets())
    assert set(bodies) == budgets()


def test_a_burn_alert_wants_so_many_events_that_one_failure_is_not_enough() -> None:
    """At the least of the budgets; the rule tests show it of each alert."""
    rates = {"1h": 14.4, "6h": 6.0, "3d": 1.0}
    budget = min(
        float(rule["expr"].strip("vector()")) for rule in rules("record") if ":error_budget:" in rule["record"]
    )
    conditions = "".join(rule["expr"] for rule in ALERTS if rule["alert"].endswith("BudgetBurn"))
    least = {window: int(count) for window, count in re.findall(r"increase(\w+)\{[^}]*} >= (\d+)", conditions)}

    assert least.keys() == rates.keys()
    assert all(1 / least[window] <= rate * budget for window, rate in rates.items())


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
