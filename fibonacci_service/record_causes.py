"""Which requests led to a record: an observer beside the recorder, where requests are traced."""

from fibonacci_service.aggregate import NUMBER, OPERATION, Subject
from fibonacci_service.observations import Computation, Failure, Observer, Operation
from fibonacci_service.stats_recorder import StatsRecorder
from service_kit.traces import Tracer, current_span


def recording_observers(recorder: StatsRecorder, tracer: Tracer | None) -> list[Observer]:
    """The recorder, and after it, if anything is traced, who tells it where its facts come from."""
    return [recorder, CauseObserver(recorder)] if tracer else [recorder]


class CauseObserver:
    """Names the span of the request that is being answered, if that is sampled."""

    def __init__(self, recorder: StatsRecorder) -> None:
        self._recorder = recorder

    def record(self, computation: Computation, times: int = 1) -> None:
        self._add((NUMBER, computation.n))

    def record_failure(self, failure: Failure) -> None:
        self._add((NUMBER, failure.n))

    def record_operation(self, operation: Operation) -> None:
        self._add((OPERATION, operation))

    def _add(self, subject: Subject) -> None:
        span = current_span.get()
        if span is not None and span.context.sampled:
            self._recorder.add_cause(subject, span.context)
