import pytest

from service_kit.lifecycle import CannotStart
from service_kit.tracing import tracing
from tests.otlp import Collector

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
    ],
)
async def test_without_a_collector_or_where_it_is_turned_off_there_is_no_tracer(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    async with tracing("the_service") as tracer:
        assert tracer is None


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
async def test_what_was_traced_is_sent_on_leaving(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with Collector() as collector:
        monkeypatch.setenv(name, f"http://127.0.0.1:{collector.port}")
        async with tracing("the_service") as tracer:
            assert tracer is not None
            tracer.begin("root").end()

        assert [span.place for span in collector.spans] == [("the_service", "internal", "root")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
    ],
)
async def test_a_variable_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    for variable, setting in {**ENDPOINT, name: value}.items():
        monkeypatch.setenv(variable, setting)

    with pytest.raises(CannotStart, match="OTEL_"):
        async with tracing("the_service"):
            raise AssertionError("it has started")
