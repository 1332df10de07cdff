"""docs/operations.md tells of every event that is logged what it means, and of no other."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.test_documentation import section

ROOT = Path(__file__).parents[1]
PACKAGES = ("api_gateway", "fibonacci_service", "stats_service", "service_kit")
TABLE_HEAD = "| Event | Level | Written by | Meaning, and what it says |\n| --- | --- | --- | --- |\n"
LEVELS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}

#: By event, at which level and in which package.
Events = dict[str, set[tuple[str, str]]]


def logged() -> Events:
    events: Events = defaultdict(set)
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for level, event in _calls(ast.parse(file.read_text())):
                events[event].add((level, package))
    return events


def _calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(ast.Name("log"), method), [ast.Constant(str(event)), *_]) if method in LEVELS:
                yield LEVELS[method], event
            case ast.Call(ast.Name("RefusalLog"), [ast.Constant(str(event)), *_]):
                yield "warning", event


def documented() -> Events:
    """Events that share a row have their levels in the same order, or one level."""
    events: Events = {}
    rows = section("docs/operations.md", "### What is logged").split(TABLE_HEAD)[1].strip().splitlines()
    for row in rows:
        names, levels, writers, _ = (cell.strip() for cell in row.strip("|").split("|"))
        events_of_row, levels_of_row = re.findall(r"`([^`]+)`", names), levels.split(", ")
        levels_of_row *= len(events_of_row) // len(levels_of_row)
        for event, level in zip(events_of_row, levels_of_row, strict=True):
            events[event] = {(level, writer) for writer in writers.split(", ")}
    return events


def test_every_event_is_documented_and_no_other() -> None:
    assert set(documented()) == set(logged())


def test_each_has_the_level_that_is_told_and_is_written_where_it_is_told() -> None:
    told = documented()
    for event, places in logged().items():
        assert {level for level, _ in places} == {level for level, _ in told[event]}, event
        writers = {writer for _, writer in told[event]}
        services = {package for _, package in places} - {"service_kit"}
        assert services <= writers, event
        assert writers == services or {package for _, package in places} == {"service_kit"}, event
