"""What fibonacci_service tells of itself."""

from typing import get_args

from fibonacci_service import worker_usage
from fibonacci_service.cache import MemoryCache
from fibonacci_service.observations import Computation, Failure, FailureKind, Observer, Operation, Origin
from fibonacci_service.stats_recorder import StatsRecorder
from fibonacci_service.worker_pool import WorkerPool
from service_kit.metrics import Histogram, Metrics


class ObservationCounts(Observer):
    """How often what happened."""

    def __init__(self) -> None:
        self.computations: dict[str, int] = dict.fromkeys(get_args(Origin), 0)
        self.durations = Histogram()
        self.failures = {kind.name.lower(): 0 for kind in FailureKind}
        self.operations = {operation.name.lower(): 0 for operation in Operation}

    def record(self, computation: Computation, times: int = 1) -> None:
        self.computations[computation.origin] += times
        if computation.origin == "computed":
            self.durations.observe(computation.duration_ns / 1e9)

    def record_failure(self, failure: Failure) -> None:
        self.failures[failure.kind.name.lower()] += 1

    def record_operation(self, operation: Operation) -> None:
        self.operations[operation.name.lower()] += 1


def register(
    metrics: Metrics, *, observed: ObservationCounts, cache: MemoryCache, pool: WorkerPool, recorder: StatsRecorder
) -> None:
    _register_observed(metrics, observed)
    _register_cache(metrics, cache)
    _register_workers(metrics, pool)
    _register_recorder(metrics, recorder)


def _register_observed(metrics: Metrics, observed: ObservationCounts) -> None:
    metrics.counter(
        "fibonacci_computations",
        "Values that were answered, by where they came from.",
        lambda: observed.computations,
        ("origin",),
    )
    metrics.histogram(
        "fibonacci_computation_duration_seconds",
        "How long computations took, with the wait for a worker.",
        {(): observed.durations},
    )
    metrics.counter(
        "fibonacci_failures",
        "Requests that were accepted and got no answer, by what ended them.",
        lambda: observed.failures,
        ("kind",),
    )
    metrics.counter(
        "fibonacci_operations",
        "Ranges, residues and descriptions that were answered.",
        lambda: observed.operations,
        ("operation",),
    )


def _register_cache(metrics: Metrics, cache: MemoryCache) -> None:
    metrics.gauge("fibonacci_cache_bytes", "Memory that the cached values take.", lambda: cache.used_bytes)
    metrics.gauge("fibonacci_cache_entries", "Values in the cache.", lambda: len(cache))
    metrics.counter("fibonacci_cache_evictions", "Values that newer ones pushed out.", lambda: cache.evictions)


def _register_workers(metrics: Metrics, pool: WorkerPool) -> None:
    backlog = pool.backlog
    metrics.gauge(
        "fibonacci_worker_wait_seconds",
        "How long a further long computation is predicted to wait for a worker.",
        lambda: backlog.wait_seconds,
    )
    metrics.gauge(
        "fibonacci_worker_tasks",
        "Tasks that wait for a worker, or are at work. A long number is two where two workers are idle.",
        lambda: backlog.tasks,
        ("state",),
    )
    metrics.counter("fibonacci_workers_started", "Worker processes that were started.", lambda: pool.started)
    metrics.counter("fibonacci_workers_lost", "Worker processes that ended by themselves.", lambda: pool.lost)
    metrics.counter(
        "fibonacci_workers_killed",
        "Worker processes ended in the middle of a task that nobody waited for any more; two where two shared it.",
        lambda: pool.killed,
    )
    if worker_usage.is_told():
        metrics.gauge(
            "fibonacci_worker_resident_memory_bytes",
            "Resident memory of all worker processes; each counts what they share.",
            lambda: worker_usage.resident_bytes(pool.pids),
        )
        metrics.counter(
            "fibonacci_worker_cpu_seconds",
            "Processor time of all worker processes, those that have ended too.",
            worker_usage.CpuSeconds(lambda: pool.pids),
        )


def _register_recorder(metrics: Metrics, recorder: StatsRecorder) -> None:
    """At any scrape served = recorded + pending + dropped."""
    metrics.counter("fibonacci_records_served", "Answers to be recorded.", lambda: recorder.served)
    metrics.counter("fibonacci_records_recorded", "Answers that stats_service acknowledged.", lambda: recorder.recorded)
    metrics.gauge("fibonacci_records_pending", "Answers that wait for that.", lambda: recorder.pending)
    metrics.counter("fibonacci_records_dropped", "Answers that the account lacks for good.", lambda: recorder.dropped)
    metrics.gauge(
        "fibonacci_records_pending_seconds",
        "How old the oldest answer that waits may be.",
        lambda: recorder.pending_seconds,
    )
    metrics.counter(
        "fibonacci_record_batches_resent",
        "Attempts to send a batch after one that failed.",
        lambda: recorder.batches_resent,
    )
