import logging
from collections.abc import Iterator, Sequence

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK as PARENT_IS_REMOTE
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from structlog.testing import capture_logs

from service_kit.trace_context import TraceContext
from service_kit.trace_export import MAX_COMPLAINT, SpanExport, _Complaints, _Watched
from service_kit.traces import Tracer
from tests.otlp import Collector, Received

CALLER = TraceContext(7, 8, sampled=True, state="a=1")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as receiving:
        for name, value in receiving.settings.items():
            monkeypatch.setenv(name, value)
        yield receiving


def sent(collector: Collector, *, parent: TraceContext | None = None) -> Received:
    """One span, all the way through the SDK and a socket."""
    export = SpanExport(service="the_service", instance="life-1", endpoint="")
    tracer = Tracer(sampler=export.sampled, export=export.export)
    with tracer.begin("root", "server", parent=parent) as span:
        span.attributes |= {"text": "x", "number": 1, "share": 0.5, "truth": True}
        span.describe = lambda _: {"described": "late"}
        span.link(TraceContext(5, 6, sampled=True))
        span.fail("500", "it went wrong")
    export.close(10)
    return collector.wait_for(lambda received: received.name == "root")


def share_sampled(*, parent: TraceContext | None = None) -> float:
    export = SpanExport(service="the_service", instance="life-1", endpoint="")
    try:
        ids = range(1 << 50, 1 << 64, 1 << 54)
        return sum(export.sampled(trace_id, parent, "root", "server") for trace_id in ids) / len(ids)
    finally:
        export.close(10)


def test_a_span_arrives_as_it_was(collector: Collector) -> None:
    span = sent(collector, parent=CALLER)

    assert span.place == ("the_service", "server", "root")
    assert (int(span.trace_id, 16), int(span.parent_id, 16), span.state) == (7, 8, "a=1")
    assert span.attributes == {
        "text": "x",
        "number": 1,
        "share": 0.5,
        "truth": True,
        "described": "late",
        "error.type": "500",
    }
    assert span.links == {(f"{5:032x}", f"{6:016x}")}
    assert (span.is_error, span.description) == (True, "it went wrong")


class Unreliable(SpanExporter):
    """Says what became of each batch, as it is told."""

    def __init__(self, *arrived: bool) -> None:
        self.arrived = iter(arrived)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if next(self.arrived):
            return SpanExportResult.SUCCESS
        logging.getLogger("opentelemetry.exporter.otlp").error("%d spans did not arrive%s", len(spans), "!" * 1000)
        return SpanExportResult.FAILURE


def test_an_outage_of_the_collector_is_told_once_and_its_end_with_what_was_lost() -> None:
    with capture_logs() as lines:
        unreliable = Unreliable(True, False, False, True, True, False)
        watched = _Watched(unreliable, endpoint="http://collector", complaints=_Complaints())
        for _ in range(6):
            watched.export([ReadableSpan("one"), ReadableSpan("two")])

    assert {line["error"] for line in lines if "error" in line} == {
        f"2 spans did not arrive{'!' * 1000}"[:MAX_COMPLAINT]
    }
    assert [(line["event"], line.get("lost_spans")) for line in lines] == [
        ("traces.unreachable", None),
        ("traces.reachable", 4),
        ("traces.unreachable", None),
    ]


def test_a_parent_in_another_process_is_told_from_one_in_this(collector: Collector) -> None:
    export = SpanExport(service="the_service", instance="life-1", endpoint="")
    tracer = Tracer(sampler=export.sampled, export=export.export)
    with tracer.begin("root", parent=CALLER) as root, root.child("child"):
        pass
    export.close(10)

    collector.wait_for_all(lambda _: True, 2)
    remote = {span.name: bool(span.flags & PARENT_IS_REMOTE) for span in collector.spans}
    assert remote == {"root": True, "child": False}


def test_what_is_kept_for_a_reason_says_so(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")

    assert sent(collector).attributes["exact_fibonacci.kept"] == "error"


@pytest.mark.parametrize(
    ("settings", "service"),
    [
        ({}, "the_service"),
        ({"OTEL_SERVICE_NAME": "another"}, "another"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=third,deployment.environment.name=test"}, "third"),
    ],
)
def test_the_standard_variables_name_the_service(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], service: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert sent(collector).service == service


@pytest.mark.parametrize(
    ("settings", "alone", "chosen_before"),
    [
        ({}, 1, 1),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0, 0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25, 0.25),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25"}, 0.25, 1),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, 0, 1),
    ],
)
@pytest.mark.usefixtures("collector")
def test_the_standard_variables_choose_the_sampler(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], alone: float, chosen_before: float
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)

    assert share_sampled() == pytest.approx(alone, abs=0.01)
    assert share_sampled(parent=CALLER) == pytest.approx(chosen_before, abs=0.01)


@pytest.mark.usefixtures("collector")
def test_who_was_not_sampled_before_is_not_sampled_here() -> None:
    assert share_sampled(parent=CALLER._replace(sampled=False)) == 0


@pytest.mark.parametrize("state", ["no pair", "a=1,a=2", "=", ",".join(f"k{n}=1" for n in range(40))])
def test_an_odd_tracestate_is_no_line_in_the_log(
    collector: Collector, caplog: pytest.LogCaptureFixture, state: str
) -> None:
    assert sent(collector, parent=CALLER._replace(state=state)).parent_id == f"{8:016x}"
    assert caplog.messages == []


@pytest.mark.parametrize("sampler", ["always_on", "always_off", "traceidratio", "parentbased_traceidratio"])
@pytest.mark.usefixtures("collector")
def test_the_short_way_decides_as_the_sdk_does(monkeypatch: pytest.MonkeyPatch, sampler: str) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.3")
    sdk = TracerProvider(shutdown_on_exit=False).sampler
    export = SpanExport(service="the_service", instance="life-1", endpoint="")

    for trace_id in range(1 << 50, 1 << 128, 1 << 121 | 1 << 57):
        decision = sdk.should_sample(None, trace_id, "root").decision
        assert export.sampled(trace_id, None, "root", "server") is (decision is Decision.RECORD_AND_SAMPLE)
    export.close(10)
