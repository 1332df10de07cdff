"""Puts fibonacci_service together; the only place that constructs its parts."""

import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog

from fibonacci_service.appraisals import Appraiser
from fibonacci_service.cache import MemoryCache
from fibonacci_service.calculator import Calculator
from fibonacci_service.contract import SERVICE_NAME, STATUS_TABLE
from fibonacci_service.exchange import Exchange
from fibonacci_service.item_log import ItemLog
from fibonacci_service.metrics import ObservationCounts, register
from fibonacci_service.observations import Observer
from fibonacci_service.ranges import RangeReader
from fibonacci_service.record_causes import recording_observers
from fibonacci_service.servicer import FibonacciServicer
from fibonacci_service.settings import Settings
from fibonacci_service.stats_recorder import StatsRecorder
from fibonacci_service.value_workers import ValueWorkers
from fibonacci_service.worker_pool import WorkerPool
from service_kit.admission import Admission
from service_kit.fault_interceptor import FaultInterceptor, fault_statuses
from service_kit.faults import fault_injector
from service_kit.grpc_channel import open_channel
from service_kit.grpc_server import serving
from service_kit.interceptors import ServerInterceptor
from service_kit.logs import RequestLog
from service_kit.metrics import Metrics
from service_kit.metrics_server import serving_metrics
from service_kit.pb.fibonacci.fib_pb2_grpc import add_FibonacciServicer_to_server
from service_kit.rpc_metrics import register_rpc
from service_kit.tls import calling_tls, listening_tls
from service_kit.trace_interceptors import server_interceptors
from service_kit.traced_channel import traced_channel
from service_kit.traces import Tracer
from service_kit.tracing import tracing

log = structlog.get_logger()

#: A thousand items, each with a request id of its longest, take 83 kB.
MAX_REQUEST_BYTES = 128 << 10


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[int]:
    """Serves until it is left, and yields the port. On leaving it drains, then sends the last records."""
    request_log, admission = RequestLog(policy=settings.log_requests), _admission(settings)
    async with (
        tracing("fibonacci_service") as tracer,
        listening_tls(settings) as certificates,
        _channel(settings, tracer) as channel,
        _recorder(settings, channel, tracer) as recorder,
        _workers(settings) as pool,
    ):
        cache, observed = MemoryCache(max_bytes=settings.cache_bytes), ObservationCounts()
        servicer = _servicer(
            settings,
            cache=cache,
            pool=pool,
            recorder=recorder,
            observers=[*recording_observers(recorder, tracer), observed],
            admission=admission,
            item_log=ItemLog(request_log=request_log),
            tracer=tracer,
        )
        interceptor = _interceptor(settings, request_log, admission)
        metrics = Metrics(service="fibonacci_service")
        register_rpc(metrics, interceptor=interceptor, admission=admission, shed=[pool.backlog.refusals])
        register(metrics, observed=observed, cache=cache, pool=pool, recorder=recorder)
        async with (
            serving_metrics(settings, metrics) as metrics_port,
            serving(
                settings,
                service_name=SERVICE_NAME,
                register=lambda server: add_FibonacciServicer_to_server(servicer, server),
                interceptors=[interceptor],
                outer_interceptors=server_interceptors(tracer),
                inner_interceptors=fault_interceptors(settings),
                max_request_bytes=MAX_REQUEST_BYTES,
                certificates=certificates,
            ) as port,
        ):
            log.info("metrics.started", host=settings.metrics_host, port=metrics_port)
            yield port


def _servicer(
    settings: Settings,
    *,
    cache: MemoryCache,
    pool: WorkerPool,
    recorder: StatsRecorder,
    observers: Sequence[Observer],
    admission: Admission,
    item_log: ItemLog,
    tracer: Tracer | None,
) -> FibonacciServicer:
    workers = ValueWorkers(pool=pool)
    calculator = Calculator(cache=cache, workers=workers, max_index=settings.max_n, observers=observers)
    return FibonacciServicer(
        calculator=calculator,
        exchange=Exchange(calculator=calculator, admission=admission, item_log=item_log, tracer=tracer),
        ranges=RangeReader(pool=pool, max_index=settings.range_max_n, observers=observers),
        appraiser=Appraiser(pool=pool, max_index=settings.max_n, observers=observers),
        recorder=recorder,
        item_log=item_log,
    )


def _admission(settings: Settings) -> Admission:
    return Admission(
        max_calls=settings.max_concurrent_calls,
        max_queued=settings.max_queued_calls,
        max_lasting=settings.max_lasting_calls,
    )


def _interceptor(settings: Settings, request_log: RequestLog, admission: Admission) -> ServerInterceptor:
    return ServerInterceptor(
        status_table={**STATUS_TABLE, **fault_statuses(settings.fault_error_status)},
        request_log=request_log,
        admission=admission,
        admitted_names=settings.admitted_names,
    )


def fault_interceptors(settings: Settings) -> list[FaultInterceptor]:
    """None at all unless a fault is set. GetRecorder is spared, for chaos work reads there what was answered."""
    injector = fault_injector(settings, error_status=settings.fault_error_status)
    spared = frozenset({f"/{SERVICE_NAME}/GetRecorder"})
    return [FaultInterceptor(injector=injector, spared=spared)] if injector else []


@asynccontextmanager
async def _channel(settings: Settings, tracer: Tracer | None) -> AsyncIterator[grpc.aio.Channel]:
    tls = calling_tls(settings, "stats")
    async with open_channel(settings.stats_target, leave_out_not_serving=False, tls=tls) as channel:
        yield traced_channel(channel, tracer)


def _recorder(settings: Settings, channel: grpc.aio.Channel, tracer: Tracer | None) -> StatsRecorder:
    return StatsRecorder(
        channel=channel,
        target=settings.stats_target,
        clock=time.time,
        interval_seconds=settings.stats_interval_seconds,
        deadline_seconds=settings.stats_deadline_seconds,
        flush_seconds=settings.stats_flush_seconds,
        max_pending=settings.stats_max_pending,
        max_batch_age_seconds=settings.stats_max_batch_age_seconds,
        tracer=tracer,
    )


def _workers(settings: Settings) -> WorkerPool:
    return WorkerPool(
        size=settings.workers or os.cpu_count() or 1,
        max_queued_seconds=settings.workers_max_queued_seconds,
        memory_bytes=settings.worker_memory_bytes,
    )
