"""schemathesis asks the real processes for what the OpenAPI document allows, and for much that it does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.checks import CHECKS
from schemathesis.config import GenerationConfig

from api_gateway import deadlines
from deploy.local.processes import System

pytestmark = pytest.mark.slow

SEED = 20_011_235
#: For each operation, beside what schemathesis derives from the bounds in the document.
EXAMPLES = 100
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"
#: So low that every answer is short; by default a range may have 100 GB.
LIMITS = {"FIBONACCI_MAX_N": 20_000, "FIBONACCI_RANGE_MAX_N": 1_000}
#: What the document cannot say: fibonacci_service sets the largest index, a page token has to come from the page
#: before, and OpenAPI 3.1 has no word for an event of a stream.
EXCEPTIONS = {
    "/fib": "positive_data_acceptance",
    "/fib/batch": "positive_data_acceptance",
    "/fib/range": "positive_data_acceptance",
    "/stats": "positive_data_acceptance",
    "/stats/stream": "response_schema_conformance",
}
#: A batch may have more indices than a URL has room for, and more than a body.
TOO_LONG = ["413", "414"]


def _document() -> schemathesis.BaseSchema:
    raw = json.loads(DOCUMENT.read_text())
    for operation in (operation for resource in raw["paths"].values() for operation in resource.values()):
        operation["parameters"].remove(deadlines.PARAMETER)  # a millisecond is allowed, and then 504 is right
    schema = schemathesis.openapi.from_dict(raw)
    schema.config.max_stream_events = 1
    schema.config.generation = GenerationConfig(max_examples=EXAMPLES)
    schema.config.checks.negative_data_rejection.expected_statuses += TOO_LONG
    return schema


document = _document()


@pytest.fixture(scope="module")
def limited_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    url = f"sqlite:///{tmp_path_factory.mktemp('account')}/stats.sqlite3"
    with System(database_url=url, settings=LIMITS) as running:
        yield running


@document.parametrize()
@hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None)
@hypothesis.seed(SEED)
def test_every_answer_is_one_that_the_document_names(case: schemathesis.Case[Any], limited_system: System) -> None:
    excluded: list[Any] = CHECKS.get_by_names([EXCEPTIONS[case.path]] if case.path in EXCEPTIONS else [])
    case.call_and_validate(base_url=limited_system.url, excluded_checks=excluded, timeout=10)


def test_the_document_that_is_asked_for_is_the_one_that_is_served(limited_system: System) -> None:
    assert schemathesis.openapi.from_url(f"{limited_system.url}/openapi.json").raw_schema == json.loads(
        DOCUMENT.read_text()
    )
