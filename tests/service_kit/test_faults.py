from collections import Counter
from random import Random
from typing import Any, get_args

import grpc
import pytest
import structlog
from pydantic_settings import SettingsConfigDict

from service_kit.faults import ErrorCode, Fault, FaultInjector, FaultRates, FaultSettings, fault_injector
from tests import settings_bounds

NO_RATES = {"delay_seconds": 0.0, "delay_probability": 0.0, "error_probability": 0.0, "abort_probability": 0.0}


class Settings(FaultSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")


def drawn(requests: int, *, seed: int = 1, **rates: float) -> list[Fault | None]:
    random = Random(seed)  # noqa: S311 - as a service seeds it
    injector = FaultInjector(rates=FaultRates(**{**NO_RATES, **rates}), random=random)
    return [injector.draw() for _ in range(requests)]


def where(faults: list[Fault | None], name: str) -> set[int]:
    """The requests that a fault hit."""
    return {position for position, fault in enumerate(faults) if fault is not None and name in str(fault)}


def test_each_fault_hits_as_often_as_its_probability_says() -> None:
    faults = drawn(10_000, delay_seconds=2, delay_probability=0.5, error_probability=0.2, abort_probability=0.1)

    assert Counter(map(str, faults)) == {
        "None": 3_487,
        "delay": 3_451,
        "error": 1_055,
        "delay+error": 1_021,
        "abort": 486,
        "delay+abort": 500,
    }


def test_the_same_seed_repeats_the_faults_and_another_does_not() -> None:
    rates = {"delay_seconds": 1.0, "delay_probability": 0.5, "error_probability": 0.3, "abort_probability": 0.3}

    assert drawn(100, seed=7, **rates) == drawn(100, seed=7, **rates) != drawn(100, seed=8, **rates)


def test_a_changed_probability_leaves_the_other_faults_where_they_were() -> None:
    many = drawn(1_000, delay_seconds=1, delay_probability=0.5, error_probability=0.3, abort_probability=0.2)
    fewer = drawn(1_000, error_probability=0.1, abort_probability=0.2)

    assert where(fewer, "error") < where(many, "error")
    assert where(fewer, "abort") == where(many, "abort")


def test_a_probability_of_one_hits_every_request() -> None:
    assert set(drawn(1_000, error_probability=1)) == {Fault(0, "error")}
    assert set(drawn(1_000, abort_probability=1)) == {Fault(0, "abort")}
    assert set(drawn(1_000, delay_seconds=3, delay_probability=1)) == {Fault(3, None)}
    assert where(drawn(1_000, error_probability=0.3, abort_probability=0.7), "") == set(range(1_000))


def test_without_a_probability_there_is_no_injector_and_no_word_of_it() -> None:
    with structlog.testing.capture_logs() as lines:
        assert fault_injector(Settings(fault_delay_seconds=0, fault_seed=3), error_status=503) is None

    assert lines == []


def test_the_log_tells_the_whole_configuration() -> None:
    settings = Settings(
        fault_delay_seconds=0.25, fault_delay_probability=0.5, fault_error_probability=0.125, fault_seed=3
    )
    with structlog.testing.capture_logs() as lines:
        fault_injector(settings, error_status="INTERNAL")

    assert lines == [
        {
            "event": "faults.enabled",
            "log_level": "warning",
            "delay_seconds": 0.25,
            "delay_probability": 0.5,
            "error_probability": 0.125,
            "abort_probability": 0.0,
            "error_status": "INTERNAL",
            "seed": 3,
        }
    ]


def test_a_random_seed_is_told_and_repeats_the_run() -> None:
    with structlog.testing.capture_logs() as lines:
        first = fault_injector(Settings(fault_error_probability=0.5), error_status=503)
        again = fault_injector(Settings(fault_error_probability=0.5, fault_seed=lines[0]["seed"]), error_status=503)

    assert first is not None
    assert again is not None
    assert [first.draw() for _ in range(100)] == [again.draw() for _ in range(100)]


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (
            {"fault-delay-probability": "0.5"},
            "--fault-delay-probability='0.5': has to be set together with DEMO_FAULT_DELAY_SECONDS",
        ),
        (
            {"fault-delay-seconds": "2"},
            "DEMO_FAULT_DELAY_PROBABILITY='0': has to be set together with DEMO_FAULT_DELAY_SECONDS",
        ),
        (
            {"fault-error-probability": "0.6", "fault-abort-probability": "0.5"},
            "--fault-abort-probability='0.5': is more than 1 together with DEMO_FAULT_ERROR_PROBABILITY",
        ),
        (
            {"fault-abort-probability": "0.5", "log-level": "error"},
            "--fault-abort-probability='0.5': means faults that no log announces; set DEMO_LOG_LEVEL below error",
        ),
    ],
)
def test_faults_that_cannot_be_are_refused_at_the_start(
    capsys: pytest.CaptureFixture[str], flags: dict[str, Any], fault: str
) -> None:
    arguments = [f"--{name}={value}" for name, value in flags.items()]

    assert settings_bounds.refused(Settings, capsys, *arguments) == f"the_service: {fault}\n"


@pytest.mark.parametrize(("name", "value"), [*settings_bounds.just_outside(Settings), ("fault_delay_seconds", "nan")])
def test_a_value_out_of_bounds_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"DEMO_{name.upper()}", value)

    assert f"DEMO_{name.upper()}='{value}'" in settings_bounds.refused(Settings, capsys)


def test_every_code_of_a_failed_call_can_be_injected() -> None:
    assert set(get_args(ErrorCode)) == {code.name for code in grpc.StatusCode} - {"OK"}
