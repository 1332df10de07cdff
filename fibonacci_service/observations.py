"""What fibonacci_service did, as facts, and who is told of them."""

import asyncio
import enum
from dataclasses import dataclass
from typing import Literal, Protocol

from fibonacci_service.errors import WorkerLost, WorkersBusy
from fibonacci_service.sequence import INT64_MAX_INDEX, SMALL
from fibonacci_service.values import EncodedValue

#: An answer that took longer has its line in the log under every policy.
DEAR_NS = 1_000_000

#: Where an answer came from: the cache, a computation of its own, or one that another request had begun.
Origin = Literal["cache", "computed", "coalesced"]


@dataclass(frozen=True, slots=True)
class Computation:
    """One answered request."""

    n: int
    encoded: EncodedValue
    origin: Origin
    duration_ns: int

    @property
    def cached(self) -> bool:
        return self.origin == "cache"

    @property
    def dear(self) -> bool:
        return self.duration_ns > DEAR_NS

    @property
    def x(self) -> int:
        """F(n) where it fits int64, else 0."""
        return SMALL[self.n] if self.n <= INT64_MAX_INDEX else 0


class FailureKind(enum.IntEnum):
    """Why a request got no answer, numbered as in the contract."""

    WORKERS_BUSY = 1
    WORKER_LOST = 2
    CANCELLED = 3
    INTERNAL = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """One request that was well-formed and accepted, and got no answer."""

    n: int
    kind: FailureKind


class Operation(enum.IntEnum):
    """A call that was answered with no single number, numbered as in the contract."""

    RANGE = 1
    RESIDUE = 2
    DESCRIPTION = 3


class Observer(Protocol):
    """Is told every fact once, on the event loop, in the middle of an answer: it neither waits nor raises."""

    def record(self, computation: Computation, times: int = 1) -> None:
        """One answered request, or so many that were alike."""
        ...

    def record_failure(self, failure: Failure) -> None: ...

    def record_operation(self, operation: Operation) -> None: ...


def failure_kind(error: BaseException) -> FailureKind:
    """What ended a request that was accepted."""
    match error:
        case WorkersBusy():
            return FailureKind.WORKERS_BUSY
        case WorkerLost():
            return FailureKind.WORKER_LOST
        case asyncio.CancelledError():
            return FailureKind.CANCELLED
        case _:
            return FailureKind.INTERNAL
