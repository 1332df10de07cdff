"""The three real processes with a collector beside them."""

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.local.processes import System
from tests.otlp import Collector, Received
from tests.system.conftest import LOG_EVERYTHING

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01", "tracestate": "one=1,two=2"}
#: A worker gives way to everything, and takes seconds to start on a machine that has more to do.
PATIENT = {"GATEWAY_DEADLINE_SECONDS": 60}
#: The sampler of these chooses nothing by itself.
UNSAMPLED = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}

GATEWAY = ("api_gateway", "server", "GET /fib")
BATCH = ("api_gateway", "internal", "batch")
RECORD = ("fibonacci_service", "internal", "record")
WAIT = ("fibonacci_service", "internal", "worker.wait")
RUN = ("fibonacci_service", "internal", "worker.run")


def calling(method: str, service: str = "api_gateway") -> tuple[str, str, str]:
    return service, "client", method


def answering(method: str, service: str = "fibonacci_service") -> tuple[str, str, str]:
    return service, "server", method


@contextlib.contextmanager
def traced(folder: Path, settings: Mapping[str, object] | None = None) -> Iterator[tuple[System, Collector]]:
    with Collector() as collector:
        everything = {**LOG_EVERYTHING, **PATIENT, **collector.settings, **(settings or {})}
        with System(database_url=f"sqlite:///{folder}/stats.sqlite3", settings=everything) as system:
            yield system, collector


def is_chain(*spans: Received) -> bool:
    """Whether each is the parent of the next, all in one trace."""
    return all(
        later.parent_id == earlier.span_id and later.trace_id == earlier.trace_id
        for earlier, later in itertools.pairwise(spans)
    )
