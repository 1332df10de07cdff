import asyncio
from contextvars import copy_context
from typing import Any

import pytest
import structlog

from service_kit import refusals
from service_kit.refusals import RefusalLog
from service_kit.request_id import current_request_id


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "LOG_INTERVAL_SECONDS", 0.05)


async def lines_until(lines: list[Any], count: int) -> list[Any]:
    async with asyncio.timeout(10):
        while len(lines) < count:  # noqa: ASYNC110 - nothing else tells of it
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.12)
    return lines


async def test_a_burst_has_a_line_at_once_and_one_that_tells_how_many_it_was() -> None:
    refused = RefusalLog("overload.refused", refused="calls")
    with structlog.testing.capture_logs() as lines:
        for _ in range(1_000):
            refused.count()
        assert len(lines) == 1
        await lines_until(lines, 2)

    assert [(line["event"], line["refused"], line["total"]) for line in lines] == [
        ("overload.refused", "calls", 1),
        ("overload.refused", "calls", 1_000),
    ]


async def test_one_refusal_has_one_line_and_a_later_one_its_own_at_once() -> None:
    refused = RefusalLog("overload.refused", refused="calls")
    with structlog.testing.capture_logs() as lines:
        refused.count()
        await lines_until(lines, 1)
        refused.count()

    assert [line["total"] for line in lines] == [1, 2]


async def test_a_line_tells_of_the_first_refusal_since_the_one_before() -> None:
    refused = RefusalLog("http.refused", reason="malformed")

    def refuse(client: str) -> None:
        current_request_id.set(f"of-{client}")
        refused.count(client=client)

    with structlog.testing.capture_logs() as lines:
        structlog.configure(processors=[_with_request_id, *structlog.get_config()["processors"]])
        for client in ("10.0.0.1", "10.0.0.2", "10.0.0.3"):
            copy_context().run(refuse, client)
        await lines_until(lines, 2)

    assert [(line["client"], line["request_id"], line["total"]) for line in lines] == [
        ("10.0.0.1", "of-10.0.0.1", 1),
        ("10.0.0.2", "of-10.0.0.2", 3),
    ]


def _with_request_id(_logger: Any, _method: str, event: Any) -> Any:
    return {**event, "request_id": current_request_id.get()}
