import pytest
import structlog

from service_kit.refusals import LOG_INTERVAL_SECONDS, RefusalLog


def test_many_refusals_have_one_line_with_their_number_and_a_later_one_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    refusals = RefusalLog("overload.refused", refused="calls")
    with structlog.testing.capture_logs() as lines:
        for _ in range(1_000):
            refusals.count()
        now += LOG_INTERVAL_SECONDS
        refusals.count()

    assert [(line["event"], line["refused"], line["total"]) for line in lines] == [
        ("overload.refused", "calls", 1),
        ("overload.refused", "calls", 1_001),
    ]


def test_a_line_tells_of_the_refusal_that_it_is_written_for() -> None:
    refusals = RefusalLog("http.refused", reason="malformed")
    with structlog.testing.capture_logs() as lines:
        refusals.count(client="10.0.0.1")
        refusals.count(client="10.0.0.2")

    assert [(line["reason"], line["client"], line["total"]) for line in lines] == [("malformed", "10.0.0.1", 1)]
    assert refusals.total == 2
