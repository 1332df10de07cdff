"""An observer that keeps what it was told."""

from dataclasses import dataclass, field

from fibonacci_service.observations import Computation, Failure, Operation


@dataclass
class Observed:
    computations: list[Computation] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)

    def record(self, computation: Computation, times: int = 1) -> None:
        assert times > 0, "of no answer there is nothing to tell"
        self.computations += [computation] * times

    def record_failure(self, failure: Failure) -> None:
        self.failures.append(failure)

    def record_operation(self, operation: Operation) -> None:
        self.operations.append(operation)
