"""What every gRPC service tells of its calls, those for health and reflection too."""

from collections.abc import Sequence

from service_kit.admission import Admission
from service_kit.interceptors import ServerInterceptor
from service_kit.metrics import Metrics
from service_kit.refusals import RefusalLog

_BY_CODE = ("rpc_method", "rpc_response_status_code")


def register_rpc(
    metrics: Metrics, *, interceptor: ServerInterceptor, admission: Admission, shed: Sequence[RefusalLog]
) -> None:
    """`shed` are the service's own refusals in an overload; the kind of each is what its log says was `refused`."""
    metrics.histogram(
        "rpc_server_call_duration_seconds",
        "How long calls with one answer took. CANCELLED is one whose caller left before its time was up.",
        interceptor.call_durations,
        _BY_CODE,
    )
    metrics.histogram(
        "rpc_server_stream_duration_seconds",
        "How long calls lasted that are streams; their clients decide that.",
        interceptor.stream_durations,
        _BY_CODE,
    )
    metrics.gauge(
        "rpc_server_calls",
        "Calls and batches that are at work or wait for their turn, and calls that last.",
        lambda: admission.calls,
        ("state",),
    )
    refusals = [admission.refused_calls, admission.refused_lasting, *shed]
    metrics.counter(
        "rpc_server_shed",
        "What was refused in an overload.",
        lambda: {each.facts["refused"]: each.total for each in refusals},
        ("kind",),
    )
