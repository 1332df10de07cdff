"""Faults that a service injects into its own answers for chaos work: which, how often, and again with the same seed.

The words are those of the field: a delay is what Envoy, Istio and Chaos Mesh call so, an abort is Chaos Mesh's, which
breaks the connection. Envoy's abort answers with a status; that is the error here.
"""

import secrets
from dataclasses import asdict, dataclass
from random import Random
from typing import Annotated, Literal

import structlog
from pydantic import Field, ValidationInfo, field_validator

from service_kit.setting_rules import at_most_one_with, refusal, together_with
from service_kit.settings import ServiceSettings

log = structlog.get_logger()

MAX_SEED = (1 << 32) - 1

#: The codes of gRPC that say that a call failed.
ErrorCode = Literal[
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]

#: How a request ends that is not answered.
Ending = Literal["error", "abort"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRates:
    """A request is delayed with one probability, and fails in one of two ways with two others, delayed or not."""

    delay_seconds: float
    delay_probability: float
    error_probability: float
    abort_probability: float

    @property
    def any(self) -> bool:
        return max(self.delay_probability, self.error_probability, self.abort_probability) > 0


@dataclass(frozen=True, slots=True)
class Fault:
    """What is injected into one request: a delay, which may be 0, and then an ending, or None where it is answered."""

    delay_seconds: float
    ending: Ending | None

    def __str__(self) -> str:
        """As it stands in log lines: `delay`, `error`, `abort`, `delay+error`."""
        return "+".join([*(["delay"] if self.delay_seconds else []), *([self.ending] if self.ending else [])])


class FaultInjector:
    """Decides for one request after another. The decisions are those of the seed, in the order of the requests."""

    def __init__(self, *, rates: FaultRates, random: Random) -> None:
        self._rates = rates
        self._random = random

    def draw(self) -> Fault | None:
        """Draws the same numbers whatever the rates, so a changed rate leaves the other faults where they were."""
        rates = self._rates
        delayed = self._random.random() < rates.delay_probability
        ending = self._ending(self._random.random())
        if not delayed and ending is None:
            return None
        return Fault(rates.delay_seconds if delayed else 0, ending)

    def _ending(self, drawn: float) -> Ending | None:
        if drawn < self._rates.error_probability:
            return "error"
        # From the other end, so that neither probability moves what the other one hits.
        return "abort" if drawn >= 1 - self._rates.abort_probability else None


class FaultSettings(ServiceSettings):
    """What a service can be told that injects faults; it adds `fault_error_status` in its protocol's terms."""

    fault_delay_seconds: float = Field(0, ge=0, le=60, description="How long an injected delay is.")
    fault_delay_probability: Annotated[float, together_with("fault_delay_seconds")] = Field(
        0, ge=0, le=1, description="Probability that a request is delayed by that, for chaos work."
    )
    fault_error_probability: float = Field(
        0, ge=0, le=1, description="Probability that a request is answered with an injected error, for chaos work."
    )
    fault_abort_probability: Annotated[float, at_most_one_with("fault_error_probability")] = Field(
        0, ge=0, le=1, description="Probability that a request is broken off without an answer, for chaos work."
    )
    fault_seed: int = Field(
        0, ge=0, le=MAX_SEED, description="Repeats the injected faults of a run, whose log tells its seed; 0 is random."
    )

    @field_validator("fault_delay_probability", "fault_error_probability", "fault_abort_probability")
    @classmethod
    def _announced(cls, probability: float, info: ValidationInfo) -> float:
        if probability and info.data.get("log_level") == "error":
            raise refusal(f"means faults that no log announces; set {cls.prefix()}LOG_LEVEL below error")
        return probability

    @property
    def fault_rates(self) -> FaultRates:
        return FaultRates(
            delay_seconds=self.fault_delay_seconds,
            delay_probability=self.fault_delay_probability,
            error_probability=self.fault_error_probability,
            abort_probability=self.fault_abort_probability,
        )


def fault_injector(settings: FaultSettings, *, error_status: int | str) -> FaultInjector | None:
    """None unless a probability is set, and then the log says so and with which seed."""
    rates = settings.fault_rates
    if not rates.any:
        return None
    seed = settings.fault_seed or 1 + secrets.randbelow(MAX_SEED)
    log.warning("faults.enabled", **asdict(rates), error_status=error_status, seed=seed)
    return FaultInjector(rates=rates, random=Random(seed))  # noqa: S311 - it has to be the same again
