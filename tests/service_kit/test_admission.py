import asyncio

import pytest

from service_kit.admission import RETRY_DELAY_SECONDS, Admission, Overloaded, step_aside


class Caller:
    """A call that writes its name down when it has a place, and keeps it until it is released."""

    def __init__(self, admission: Admission, name: int, served: list[int]) -> None:
        self._admission, self._name, self._served = admission, name, served
        self.release = asyncio.Event()
        self.task = asyncio.create_task(self._call())

    async def _call(self) -> None:
        with self._admission.place_now() or await self._admission.place_in_turn():
            self._served.append(self._name)
            await self.release.wait()


async def settle() -> None:
    """Lets every task come as far as it can without others."""
    for _ in range(5):
        await asyncio.sleep(0)


async def callers_of(admission: Admission, count: int, served: list[int]) -> list[Caller]:
    callers = [Caller(admission, name, served) for name in range(count)]
    await settle()
    return callers


def free_places(admission: Admission) -> int:
    """How many calls get a place at once."""
    taken = 0
    while admission.place_now():
        taken += 1
    for _ in range(taken):
        admission.give_back()
    return taken


async def test_as_many_calls_as_may_have_a_place_at_once_and_the_rest_in_the_order_they_came() -> None:
    served: list[int] = []
    callers = await callers_of(Admission(max_calls=2, max_queued=10), 6, served)
    assert served == [0, 1]

    for place, caller in enumerate(callers):
        caller.release.set()
        await settle()
        assert served == [0, 1, 2, 3, 4, 5][: place + 3]
    await asyncio.gather(*(caller.task for caller in callers))


async def test_a_call_that_comes_while_others_wait_does_not_overtake_them() -> None:
    served: list[int] = []
    admission = Admission(max_calls=1, max_queued=10)
    first, second = await callers_of(admission, 2, served)
    first.release.set()
    await first.task  # the place belongs to the second now, whether it has run or not

    assert admission.place_now() is None
    second.release.set()
    await second.task
    assert free_places(admission) == 1


async def test_more_than_may_wait_are_refused_and_take_nobodys_place() -> None:
    served: list[int] = []
    admission = Admission(max_calls=1, max_queued=2)
    callers = await callers_of(admission, 5, served)
    for refused in callers[3:]:
        with pytest.raises(Overloaded) as caught:
            await refused.task
        assert (caught.value.limit, caught.value.retry_delay_seconds) == (2, RETRY_DELAY_SECONDS)

    for caller in callers[:3]:
        caller.release.set()
    await asyncio.gather(*(caller.task for caller in callers[:3]))
    assert served == [0, 1, 2]
    assert free_places(admission) == 1


async def test_whoever_is_cancelled_leaves_the_queue_and_makes_room_in_it() -> None:
    served: list[int] = []
    admission = Admission(max_calls=1, max_queued=2)
    callers = await callers_of(admission, 3, served)
    callers[1].task.cancel()
    await settle()
    late = Caller(admission, 9, served)
    await settle()
    callers[0].release.set()
    callers[2].release.set()
    late.release.set()
    await asyncio.gather(*(caller.task for caller in (callers[0], callers[2], late)))

    assert served == [0, 2, 9]
    assert free_places(admission) == 1


@pytest.mark.parametrize("order", ["cancel, then leave", "leave, then cancel"])
async def test_a_turn_that_comes_as_its_call_is_cancelled_goes_to_the_next(order: str) -> None:
    served: list[int] = []
    admission = Admission(max_calls=1, max_queued=10)
    place = admission.place_now()
    assert place is not None
    callers = await callers_of(admission, 2, served)
    with place:
        if order == "cancel, then leave":
            callers[0].task.cancel()
    if order == "leave, then cancel":
        callers[0].task.cancel()
    callers[1].release.set()
    await callers[1].task

    assert callers[0].task.cancelled()
    assert served == [1]
    assert free_places(admission) == 1


async def test_a_call_that_fails_gives_its_place_back() -> None:
    admission = Admission(max_calls=1, max_queued=0)
    with pytest.raises(ZeroDivisionError), admission.place_now() or await admission.place_in_turn():
        raise ZeroDivisionError

    assert free_places(admission) == 1


async def test_a_call_that_steps_aside_gives_its_place_to_the_next_and_counts_among_the_lasting() -> None:
    admission = Admission(max_calls=1, max_queued=0, max_lasting=1)
    with admission.place_now() or await admission.place_in_turn():
        assert free_places(admission) == 0
        assert step_aside()
        assert free_places(admission) == 1
        assert step_aside()  # again, which changes nothing
        assert free_places(admission) == 1
        with pytest.raises(Overloaded), admission.lasting():
            pass

    assert free_places(admission) == 1
    with admission.lasting():
        pass


async def test_where_as_many_last_as_may_a_call_cannot_step_aside_and_keeps_its_place() -> None:
    admission = Admission(max_calls=1, max_queued=0, max_lasting=1)
    with admission.lasting():
        with admission.place_now() or await admission.place_in_turn():
            assert not step_aside()
            assert free_places(admission) == 0
        assert free_places(admission) == 1


async def test_a_part_of_a_call_steps_aside_for_the_whole_of_it() -> None:
    admission = Admission(max_calls=1, max_queued=0)
    with admission.place_now() or await admission.place_in_turn():
        assert await asyncio.gather(*(asyncio.create_task(aside()) for _ in range(3))) == [True] * 3
        assert free_places(admission) == 1

    assert free_places(admission) == 1


async def test_what_outlives_its_call_takes_no_place_of_others() -> None:
    admission = Admission(max_calls=1, max_queued=0)
    over = asyncio.Event()

    async def aside_later() -> bool:
        await over.wait()
        return step_aside()

    with admission.place_now() or await admission.place_in_turn():
        left = asyncio.create_task(aside_later())
        await settle()
    over.set()

    assert await left
    assert admission.calls == {"at_work": 0, "waiting": 0, "lasting": 0}


async def aside() -> bool:
    return step_aside()


async def test_what_has_no_place_may_step_aside() -> None:
    assert step_aside()


async def test_lasting_calls_are_bounded_and_each_that_ends_makes_room() -> None:
    admission = Admission(max_calls=1, max_queued=0, max_lasting=2)
    with admission.lasting():
        with admission.lasting(), pytest.raises(Overloaded) as caught, admission.lasting():
            pass
        with admission.lasting():
            pass

    assert caught.value.facts() == {"limit": "2"}
