from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fibonacci_service.backlog import Backlog
from fibonacci_service.errors import WorkersBusy


class SetTime:
    """A clock that stands where it was set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SetTime:
    clock = SetTime()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def admitted(backlog: Backlog, stack: ExitStack, *, seconds: float) -> int:
    """How many tasks of so many seconds may wait."""
    for count in range(10_000):
        try:
            backlog.check()
        except WorkersBusy:
            return count
        stack.enter_context(backlog.waiting(seconds))
    raise AssertionError("there is no bound")


@pytest.mark.parametrize(
    ("size", "max_seconds", "seconds", "count"),
    [
        (1, 10, 1, 10),
        (2, 10, 1, 20),  # two are worked off at a time
        (1, 10, 0.01, 1_000),
        (1, 10, 9.9, 2),
        (1, 10, 60, 1),  # however long it is, one may wait where nothing does
        (1, 0, 0.01, 0),
    ],
)
async def test_tasks_may_wait_by_their_seconds_and_not_by_their_number(
    stack: ExitStack, size: int, max_seconds: float, seconds: float, count: int
) -> None:
    assert admitted(Backlog(size=size, max_seconds=max_seconds), stack, seconds=seconds) == count


async def test_a_task_that_waits_no_more_makes_room(stack: ExitStack) -> None:
    backlog = Backlog(size=1, max_seconds=0.3)
    for _ in range(100):
        with backlog.waiting(0.1):
            assert not backlog.empty

    assert backlog.empty
    assert backlog.wait_seconds == 0
    assert admitted(backlog, stack, seconds=0.1) == 3


async def test_a_refusal_tells_when_what_waits_and_what_is_at_work_will_be_done(
    stack: ExitStack, clock: SetTime
) -> None:
    backlog = Backlog(size=2, max_seconds=3)
    for _ in range(2):
        stack.enter_context(backlog.at_work(10))
    for _ in range(3):
        stack.enter_context(backlog.waiting(2))
    clock.now += 4
    with pytest.raises(WorkersBusy) as caught:
        backlog.check()

    left, waiting = 2 * (10 - 4), 3 * 2
    assert caught.value.retry_delay_seconds == (left + waiting) / 2
    assert caught.value.facts() == {"wait_seconds": "9.0"}


async def test_a_task_that_takes_longer_than_predicted_is_any_moment_done(stack: ExitStack, clock: SetTime) -> None:
    backlog = Backlog(size=1, max_seconds=3)
    stack.enter_context(backlog.at_work(1))
    clock.now += 60

    assert backlog.wait_seconds == 0
    assert not backlog.empty


async def test_where_tasks_take_longer_than_predicted_fewer_may_wait(stack: ExitStack) -> None:
    backlog = Backlog(size=1, max_seconds=12)
    for _ in range(200):
        backlog.learn(0.1, 0.4)

    assert admitted(backlog, stack, seconds=1) in (3, 4)  # what was believed before fades and never quite goes
    assert backlog.wait_seconds == pytest.approx(12, rel=0.35)


async def test_what_a_few_short_tasks_took_changes_little(stack: ExitStack) -> None:
    backlog = Backlog(size=1, max_seconds=10)
    for _ in range(3):
        backlog.learn(0.001, 0.01)

    assert admitted(backlog, stack, seconds=1) == 10


async def test_one_task_during_which_the_machine_slept_does_not_stop_the_service(stack: ExitStack) -> None:
    backlog = Backlog(size=1, max_seconds=10)
    backlog.learn(0.1, 3_600)

    assert admitted(backlog, stack, seconds=0.1) > 50
