import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from api_gateway.deadlines import HEADER
from api_gateway.openapi import document

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture
async def described() -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(await document())
    return parsed


async def test_the_document_is_valid_openapi(described: dict[str, Any]) -> None:
    validate(described, cls=OpenAPIV31SpecValidator)


async def test_the_committed_document_is_current() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == await document() + "\n"


@pytest.mark.asyncio(loop_scope="module")
async def test_the_gateway_serves_the_committed_document(lasting_client: httpx.AsyncClient) -> None:
    for _ in range(2):
        response = await lasting_client.get("/openapi.json")
        assert response.json() == json.loads(COMMITTED.read_text(encoding="utf-8"))


async def test_the_document_describes_every_resource(described: dict[str, Any]) -> None:
    assert set(described["paths"]) == {
        "/fib",
        "/fib/batch",
        "/fib/range",
        "/fib/residue",
        "/fib/describe",
        "/stats",
        "/stats/stream",
        "/stats/minutes",
        "/stats/{n}",
        "/livez",
        "/readyz",
    }


async def test_the_document_says_nothing_of_an_answer_that_is_never_given(described: dict[str, Any]) -> None:
    text = json.dumps(described)
    assert "422" not in text
    assert "ValidationError" not in text
    answers = {path: set(resource["get"]["responses"]) for path, resource in described["paths"].items()}
    assert answers.pop("/fib") == {"200", "206", "304", "412", "429", "default"}
    assert answers.pop("/fib/range") == {"200", "204", "429", "default"}
    posted = described["paths"]["/fib/batch"]["post"]["responses"]
    assert set(posted) == {"200", "415", "429", "default"}
    assert set(posted["415"]["content"]) == {"application/problem+json"}
    assert answers.pop("/livez") == answers.pop("/readyz") == {"200", "default"}
    assert set(map(frozenset, answers.values())) == {frozenset({"200", "429", "default"})}


async def test_every_error_is_described_as_the_problem_that_it_is(described: dict[str, Any]) -> None:
    errors = [
        (path, response["content"])
        for path, resource in described["paths"].items()
        for status, response in resource["get"]["responses"].items()
        if status in ("412", "429", "default")
    ]
    for path, content in errors:
        assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}, path


async def test_the_bounds_of_a_parameter_are_described_in_words_that_tools_know(described: dict[str, Any]) -> None:
    index, numeral = {"minimum": 0, "maximum": 2**31 - 1}, {"pattern": "^(0|[1-9][0-9]*)$"}
    batch = {"items": index | {"type": "integer"}, "minItems": 1, "maxItems": 1_000}
    bounds = {
        (path, parameter["name"]): bounds_in(parameter["schema"])
        for path, resource in described["paths"].items()
        for parameter in resource["get"]["parameters"]
    }
    of_every_resource = {(path, HEADER): {"minimum": 1} for path in described["paths"]}
    assert bounds == of_every_resource | {
        ("/fib", "n"): index,
        ("/fib/batch", "n"): batch,
        ("/fib/range", "start"): index,
        ("/fib/range", "count"): index | {"minimum": 1},
        ("/fib/range", "last-event-id"): {},
        ("/fib/residue", "n"): numeral | {"maxLength": 1_000},
        ("/fib/residue", "modulus"): {"pattern": "^[1-9][0-9]*$", "maxLength": 1_000},
        ("/fib/describe", "n"): numeral | {"maxLength": 100},
        ("/stats", "limit"): {"minimum": 1, "maximum": 1_000},
        ("/stats", "order"): {"enum": ["busiest", "least_busy", "n", "n_descending"]},
        ("/stats", "page_token"): {"pattern": "^[A-Za-z0-9._~=-]+$", "maxLength": 200},
        ("/stats/{n}", "n"): index,
        ("/stats/stream", "interval"): {"minimum": 0.1, "maximum": 60},
    }
    body = described["paths"]["/fib/batch"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert bounds_in(body) == batch


def bounds_in(schema: dict[str, Any]) -> dict[str, Any]:
    names = {"minimum", "maximum", "minItems", "maxItems", "items", "maxLength", "pattern", "enum"}
    stated = schema.get("anyOf", [schema])[0]  # of what may be absent
    return {name: bound for name, bound in stated.items() if name in names}
