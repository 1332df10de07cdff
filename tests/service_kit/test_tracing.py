import re
from pathlib import Path

import pytest

from deploy.local.certificates import make
from service_kit import trace_variables
from service_kit.lifecycle import CannotStart
from service_kit.trace_variables import ENDPOINTS
from service_kit.tracing import check_tracing, tracing
from tests.otlp import Collector

READ_VARIABLES = {
    *re.findall(r"OTEL_\w+", Path(trace_variables.__file__).read_text(encoding="utf-8")),
} | {
    f"{exporter}_{variable}"
    for exporter in ("OTEL_EXPORTER_OTLP", "OTEL_EXPORTER_OTLP_TRACES")
    for variable in ("COMPRESSION", "INSECURE", "CERTIFICATE", "HEADERS", "PROTOCOL", "TIMEOUT")
}
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
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "0.5"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:99999"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://localhost:0"),
        *(
            (f"{exporter}_{variable}", value)
            for exporter in ("OTEL_EXPORTER_OTLP", "OTEL_EXPORTER_OTLP_TRACES")
            for variable, value in (("COMPRESSION", "brotli"), ("INSECURE", "maybe"), ("CERTIFICATE", "/nope.pem"))
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=1"),
        ("OTEL_TRACES_EXPORTER", "zipkin"),
        ("OTEL_TRACES_EXPORTER", "otlp,console"),
        ("OTEL_SDK_DISABLED", "maybe"),
        *((limit, value) for limit in trace_variables.LIMITS for value in ("abc", "-1", "1.5")),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "nonsense"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process,nonsense"),
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


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "10"},
            "OTEL_BSP_MAX_QUEUE_SIZE='10': has to be at least OTEL_BSP_MAX_EXPORT_BATCH_SIZE, which is 512",
        ),
        (
            {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "3000"},
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE='3000': has to be at most OTEL_BSP_MAX_QUEUE_SIZE, which is 2048",
        ),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "200"},
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE='200': has to be at most OTEL_BSP_MAX_QUEUE_SIZE, which is 100",
        ),
    ],
)
def test_a_queue_that_is_smaller_than_a_batch_is_refused(settings: dict[str, str], told: str) -> None:
    with pytest.raises(CannotStart) as refused:
        check_tracing(ENDPOINT | settings)

    assert str(refused.value) == told


@pytest.mark.parametrize("exporter", ["OTEL_EXPORTER_OTLP", "OTEL_EXPORTER_OTLP_TRACES"])
@pytest.mark.parametrize("value", ["nonsense", "=secret", "a b=secret", "a=secret;", "a=1,secret", "a=%E4secret"])
def test_headers_that_make_no_sense_are_refused_and_not_shown(exporter: str, value: str) -> None:
    with pytest.raises(CannotStart, match=f"^{exporter}_HEADERS: has to be pairs") as refused:
        check_tracing({**ENDPOINT, f"{exporter}_HEADERS": value})

    assert value not in str(refused.value)


def test_a_client_certificate_and_its_key_are_refused_one_without_the_other() -> None:
    certificate = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"
    with pytest.raises(CannotStart, match=f"^{certificate}='x': means nothing without OTEL_EXPORTER_OTLP_CLIENT_KEY$"):
        check_tracing({**ENDPOINT, certificate: "x"})


def test_files_for_tls_are_accepted_where_they_are_good(tmp_path: Path) -> None:
    make(tmp_path)
    ca, certificate, key = (str(tmp_path / name) for name in ("ca.pem", "api_gateway.pem", "api_gateway.key"))
    files = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": ca,
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": certificate,
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": key,
    }

    assert check_tracing({**ENDPOINT, **files})


async def test_empty_variables_are_as_good_as_none(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in READ_VARIABLES:
        monkeypatch.setenv(name, "")
    with Collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.port}")
        async with tracing("the_service") as tracer:
            assert tracer is not None
            tracer.begin("root").end()

        assert [span.place for span in collector.spans] == [("the_service", "internal", "root")]
    assert caplog.messages == []


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
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "GZIP"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer abc, x-tenant=%61,"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1, b=x=y,c="),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_SDK_DISABLED", "False"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "process, os"),
        ("OTEL_EXPERIMENTAL_RESOURCE_DETECTORS", "*"),
    ],
)
def test_what_makes_sense_is_accepted(name: str, value: str) -> None:
    assert check_tracing({**ENDPOINT, name: value})


@pytest.mark.parametrize(("scheme", "reason"), [("ftp", "is not written like"), ("http", "has a user")])
def test_a_refused_collector_is_told_without_its_password(scheme: str, reason: str) -> None:
    with pytest.raises(CannotStart, match=rf"^OTEL_EXPORTER_OTLP_ENDPOINT='{scheme}://user:...@host': {reason}"):
        check_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": f"{scheme}://user:secret@host"})
