import pytest

from service_kit.lifecycle import CannotStart
from service_kit.trace_variables import ENDPOINTS
from service_kit.tracing import check_tracing, tracing
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
        *(
            (endpoint, value)
            for endpoint in ENDPOINTS
            for value in ("nonsense", "localhost:4317", "ftp://a:1", "http://")
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:port"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "nan"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0.5"),
        ("OTEL_TRACES_SAMPLER", "foo"),
        ("OTEL_TRACES_SAMPLER_ARG", "7"),
        ("OTEL_TRACES_SAMPLER_ARG", "half"),
    ],
)
async def test_a_variable_that_makes_no_sense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    ratio = {"OTEL_TRACES_SAMPLER": "traceidratio"}
    for variable, setting in {**ENDPOINT, **ratio, name: value}.items():
        monkeypatch.setenv(variable, setting)

    with pytest.raises(CannotStart, match=f"^{name}='{value}': "):
        async with tracing("the_service"):
            raise AssertionError("it has started")


async def test_a_queue_that_is_smaller_than_a_batch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, setting in {**ENDPOINT, "OTEL_BSP_MAX_QUEUE_SIZE": "10"}.items():
        monkeypatch.setenv(variable, setting)

    with pytest.raises(CannotStart, match=r"^an OTEL_ variable makes no sense: max_export_batch_size"):
        async with tracing("the_service"):
            raise AssertionError("it has started")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://[::1]:4317/"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", ""),
        ("OTEL_TRACES_SAMPLER", ""),
        ("OTEL_TRACES_SAMPLER", "Always_On"),
        ("OTEL_TRACES_SAMPLER_ARG", "7"),  # which the sampler of the default does not read
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ],
)
def test_what_makes_sense_is_accepted(name: str, value: str) -> None:
    assert check_tracing({**ENDPOINT, name: value})


def test_a_refused_collector_is_told_without_its_password() -> None:
    with pytest.raises(CannotStart, match=r"^OTEL_EXPORTER_OTLP_ENDPOINT='ftp://user:...@host'"):
        check_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://user:secret@host"})
