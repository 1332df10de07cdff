import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

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
    response = await lasting_client.get("/openapi.json")
    assert response.json() == json.loads(COMMITTED.read_text(encoding="utf-8"))


async def test_the_document_describes_every_resource(described: dict[str, Any]) -> None:
    assert set(described["paths"]) == {"/fib", "/stats", "/livez", "/readyz"}


async def test_the_document_says_nothing_of_an_answer_that_is_never_given(described: dict[str, Any]) -> None:
    text = json.dumps(described)
    assert "422" not in text
    assert "ValidationError" not in text
    for resource in described["paths"].values():
        assert set(resource["get"]["responses"]) == {"200", "default"}


async def test_every_error_is_described_as_the_problem_that_it_is(described: dict[str, Any]) -> None:
    for path, resource in described["paths"].items():
        content = resource["get"]["responses"]["default"]["content"]
        assert content == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}, path


async def test_the_bounds_of_a_parameter_are_described_in_words_that_tools_know(described: dict[str, Any]) -> None:
    bounds = {
        parameter["name"]: (parameter["schema"].get("minimum"), parameter["schema"].get("maximum"))
        for resource in described["paths"].values()
        for parameter in resource["get"].get("parameters", [])
    }
    assert bounds == {"n": (0, 2**31 - 1), "limit": (1, 1_000)}
