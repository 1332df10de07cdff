"""What api_gateway tells of itself."""

from collections import ChainMap

from api_gateway.coalescer import Coalescer
from api_gateway.fibonacci_client import FibonacciClient
from api_gateway.http_counts import HttpCounts
from api_gateway.retries import Caller
from api_gateway.stats_client import StatsClient
from service_kit.metrics import Metrics


def register(metrics: Metrics, *, http: HttpCounts, fibonacci: FibonacciClient, stats: StatsClient) -> None:
    _register_http(metrics, http)
    _register_calls(metrics, fibonacci.caller, stats.caller)
    _register_coalescer(metrics, fibonacci.coalescer)
    _register_stats(metrics, stats)


def _register_http(metrics: Metrics, http: HttpCounts) -> None:
    metrics.histogram(
        "http_server_request_duration_seconds",
        "How long requests took, until the last byte of their answer was handed to the connection. The route is its "
        "template in the OpenAPI document, or empty; status 0 is no answer.",
        http.durations,
        ("http_request_method", "http_route", "http_response_status_code"),
    )
    metrics.gauge("http_server_active_requests", "Requests in flight.", lambda: http.in_flight)
    metrics.gauge("http_server_connections", "HTTP connections that are open.", lambda: http.connections)
    metrics.counter(
        "http_server_refused",
        "Requests and connections that the gateway refused or broke off by itself, by reason. Only those for "
        "rate_limit are always among the requests above too.",
        lambda: http.refused.totals,
        ("reason",),
    )


def _register_calls(metrics: Metrics, *callers: Caller) -> None:
    """Of the two services that are called."""
    metrics.histogram(
        "rpc_client_attempt_duration_seconds",
        "How long attempts of calls, and of batches, took until their answer, or the first message of a stream. "
        "The code of one that a deadline ended is DEADLINE_EXCEEDED, and CANCELLED where the client left.",
        ChainMap(*(caller.attempts for caller in callers)),
        ("callee", "rpc_response_status_code"),
    )
    metrics.counter(
        "rpc_client_retries",
        "Attempts after one that was UNAVAILABLE.",
        lambda: {caller.service: caller.retries for caller in callers},
        ("callee",),
    )
    metrics.counter(
        "rpc_client_retries_refused",
        "Retries that were not made because the retry budget was used up.",
        lambda: {caller.service: caller.retries_refused for caller in callers},
        ("callee",),
    )


def _register_coalescer(metrics: Metrics, coalescer: Coalescer) -> None:
    metrics.histogram(
        "gateway_batch_requests",
        "How many requests for small numbers each batch to fibonacci_service took along.",
        {(): coalescer.batch_sizes},
    )
    metrics.gauge("gateway_batch_waiting", "Requests that wait for their batch to leave.", lambda: coalescer.waiting)
    metrics.counter(
        "gateway_batch_refused", "Requests that were refused because too many waited.", lambda: coalescer.refused
    )


def _register_stats(metrics: Metrics, stats: StatsClient) -> None:
    """The circuit breaker, and who reads /stats/stream."""
    callee = stats.caller.service
    metrics.gauge(
        "rpc_client_circuit_open",
        "1 while the circuit breaker refuses calls, or lets one try.",
        lambda: {callee: int(stats.breaker.is_open)},
        ("callee",),
    )
    metrics.counter(
        "rpc_client_circuit_refused",
        "Calls that the open circuit breaker refused.",
        lambda: {callee: stats.breaker.refused},
        ("callee",),
    )
    metrics.gauge("gateway_stats_streams", "Readers of /stats/stream.", lambda: stats.streams)
    metrics.counter(
        "gateway_stats_streams_refused",
        "Readers of /stats/stream that were refused because there were too many.",
        lambda: stats.streams_refused,
    )
