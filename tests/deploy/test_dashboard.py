"""The dashboard as it is written: that it shows every metric, each in its unit, and that runbooks name its panels."""

import json
import re
from typing import Any

from tests.prometheus import ROOT, rules
from tests.test_documentation import section

DASHBOARD = json.loads(
    (ROOT / "deploy" / "grafana" / "dashboards" / "exact-fibonacci.json").read_text(encoding="utf-8")
)
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
OPERATIONS = "docs/operations.md"
#: It says nothing that process_resident_memory_bytes does not say better.
NOT_SHOWN = {"process_virtual_memory_bytes"}
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
JAEGER = {"type": "jaeger", "uid": "${traces}"}


def expressions(panel: dict[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


def chapter(heading: str) -> str:
    text = (ROOT / OPERATIONS).read_text(encoding="utf-8")
    return re.split(r"^## ", text.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def is_rate(expression: str) -> bool:
    """Whether it is so many a second. Of seconds a second it is a share, of two rates a ratio."""
    return "rate(" in expression and not re.search(r"histogram_quantile|\) / |_seconds_total", expression)


def test_panels_have_their_own_ids_and_lie_beside_each_other() -> None:
    panels = DASHBOARD["panels"]
    inner = [panel for row in panels for panel in row.get("panels", [])]
    places = [
        (x, y)
        for position in (panel["gridPos"] for panel in panels)
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]

    assert len({panel["id"] for panel in panels + inner}) == len(panels + inner)
    assert len(set(places)) == len(places)
    assert {x for x, _ in places} == set(range(24))


def test_it_asks_the_data_sources_that_are_chosen_on_it() -> None:
    """Those of traces behind a row that is closed, so that whoever has none is told of no error."""
    chosen = [(each["name"], each["query"]) for each in DASHBOARD["templating"]["list"] if each["type"] == "datasource"]
    closed = [row for row in DASHBOARD["panels"] if row.get("collapsed")]

    assert chosen == [("datasource", "prometheus"), ("traces", "jaeger")]
    assert all(panel["datasource"] == PROMETHEUS for panel in PANELS)
    assert [panel["datasource"] for row in closed for panel in row["panels"]] == [JAEGER]


def test_whoever_imports_it_may_change_it() -> None:
    assert DASHBOARD["editable"] is True


def test_it_shows_every_metric_that_is_documented() -> None:
    documented = set(re.findall(r"^\| `(\w+)` \|", section(OPERATIONS, "### What is told"), flags=re.MULTILINE))
    recorded = {rule["record"]: rule["expr"] for rule in rules("record")}
    shown = " ".join(expression for panel in PANELS for expression in expressions(panel))
    shown += " ".join(expression for name, expression in recorded.items() if name in shown)

    assert {name for name in documented if name not in shown} == NOT_SHOWN


def test_a_panel_has_one_unit() -> None:
    """What is so many a second is on no axis with what is so many, and a counter is never shown as it stands."""
    for panel in PANELS:
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert {is_rate(each) for each in expressions(panel)} == {unit in {"ops", "reqps"}}, panel["title"]
        assert not re.search(r"(?<!rate\()\b\w+_(total|count|sum)\{", " ".join(expressions(panel))), panel["title"]


def test_one_process_can_be_looked_at_alone() -> None:
    [variable] = [each for each in DASHBOARD["templating"]["list"] if each["name"] == "instance"]
    selectors = [
        each for panel in PANELS for expression in expressions(panel) for each in re.findall(r"{.*?}", expression)
    ]

    assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".*")
    assert [each for each in selectors if 'instance=~"$instance"' not in each] == []


def test_requests_of_no_documented_route_have_a_name() -> None:
    of_routes = [
        target["expr"] for panel in PANELS for target in panel["targets"] if "http_route" in target["legendFormat"]
    ]

    assert of_routes
    assert all('"http_route", "outside the API", "http_route", ""' in expression for expression in of_routes)


def test_a_client_that_went_away_is_no_failed_request() -> None:
    [panel] = [panel for panel in PANELS if panel["title"] == "Failed requests by route"]

    assert all('http_response_status_code=~"5.."' in expression for expression in expressions(panel))


def test_the_objectives_say_where_nothing_was_asked() -> None:
    for panel in PANELS:
        if "slo:error_ratio" in expressions(panel)[0]:
            assert panel["fieldConfig"]["defaults"]["noValue"] == "nothing asked"


def test_the_marked_alerts_are_those_of_these_services_and_objectives() -> None:
    [marked] = DASHBOARD["annotations"]["list"]
    of_services, of_objectives = marked["expr"].split(" or ")
    budgets = [rule["labels"]["slo"] for rule in rules("record") if rule["record"] == "slo:error_budget:ratio"]

    assert 'job=~"api_gateway|fibonacci_service|stats_service"' in of_services
    assert f'slo=~"{"|".join(budgets)}"' in of_objectives


def test_what_runbooks_name_is_on_the_dashboard_or_a_chapter() -> None:
    text = (ROOT / OPERATIONS).read_text(encoding="utf-8")
    chapters = set(re.findall(r"^## (.+)$", text, flags=re.MULTILINE))
    _, found, runbooks = chapter("Alerts").partition("\n### ")
    named = set(re.findall(r'(?<!=)"([^"]+)"', re.sub(r"`[^`]*`", "", runbooks)))

    assert found
    assert named - chapters - {panel["title"] for panel in DASHBOARD["panels"]} == {"the computation was interrupted"}


def test_the_document_tells_what_each_row_answers() -> None:
    told = re.findall(r"^\| ([A-Z][^|]*) \|", section(OPERATIONS, "## Dashboards"), flags=re.MULTILINE)
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]

    assert [row for line in told for row in line.split(", ") if row != "Row"] == rows
