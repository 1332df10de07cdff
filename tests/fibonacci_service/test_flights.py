import asyncio

import pytest

from fibonacci_service.flights import Flights
from service_kit.traces import Active
from tests.tracing import Exported


class Work:
    """A computation that takes until it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.under_way = asyncio.Event()
        self.result: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> int:
        self.begun += 1
        self.under_way.set()
        try:
            return await asyncio.shield(self.result)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


class Failed(Exception):
    pass


async def joined(flights: Flights[str, int], work: Work, count: int) -> list[asyncio.Task[tuple[int, bool]]]:
    """So many that wait for one key."""
    tasks = [asyncio.create_task(flights.join("key", work)) for _ in range(count)]
    await work.under_way.wait()
    return tasks


async def test_many_who_ask_for_the_same_wait_for_one_computation_and_all_but_the_first_have_joined_it() -> None:
    work, flights = Work(), Flights[str, int]()
    tasks = await joined(flights, work, 50)
    work.result.set_result(55)

    assert await asyncio.gather(*tasks) == [(55, False), *[(55, True)] * 49]
    assert work.begun == 1


async def test_different_keys_are_computed_each_for_itself() -> None:
    flights = Flights[str, int]()
    first, second = Work(), Work()
    first.result.set_result(1)
    second.result.set_result(2)

    assert [*await asyncio.gather(flights.join("first", first), flights.join("second", second))] == [
        (1, False),
        (2, False),
    ]


async def test_who_asks_after_the_end_starts_anew() -> None:
    work, flights = Work(), Flights[str, int]()
    work.result.set_result(55)

    assert [await flights.join("key", work), await flights.join("key", work)] == [(55, False)] * 2
    assert work.begun == 2


async def test_a_computation_goes_on_while_one_still_waits() -> None:
    work, flights = Work(), Flights[str, int]()
    *leaving, staying = await joined(flights, work, 5)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)

    assert (work.cancelled, all(task.cancelled() for task in leaving)) == (0, True)
    work.result.set_result(55)
    assert await staying == (55, True)


async def test_a_computation_ends_when_the_last_who_waits_is_cancelled() -> None:
    work, flights = Work(), Flights[str, int]()
    tasks = await joined(flights, work, 5)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    await asyncio.sleep(0)  # the computation's own turn

    assert (work.begun, work.cancelled) == (1, 1)


async def test_who_asks_after_the_cancellation_starts_anew() -> None:
    abandoned, work, flights = Work(), Work(), Flights[str, int]()
    [task] = await joined(flights, abandoned, 1)
    task.cancel()
    work.result.set_result(55)
    later = asyncio.create_task(flights.join("key", work))  # its turn comes right after the cancelled one's

    assert await later == (55, False)
    assert (abandoned.begun, abandoned.cancelled, work.begun) == (1, 1, 1)


async def test_who_asks_after_one_that_began_anew_joins_it() -> None:
    abandoned, work, flights = Work(), Work(), Flights[str, int]()
    [task] = await joined(flights, abandoned, 1)
    task.cancel()
    anew = asyncio.create_task(flights.join("key", work))  # its turn comes right after the cancelled one's
    await work.under_way.wait()
    await asyncio.sleep(0)  # the end of the abandoned computation is told
    later = asyncio.create_task(flights.join("key", work))
    await asyncio.sleep(0)
    work.result.set_result(55)

    assert [await anew, await later] == [(55, False), (55, True)]
    assert (abandoned.cancelled, work.begun) == (1, 1)


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    work, retried, flights = Work(), Work(), Flights[str, int]()
    tasks = await joined(flights, work, 5)
    work.result.set_exception(Failed())

    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [Failed] * 5
    retried.result.set_result(55)
    assert await flights.join("key", retried) == (55, False)


async def test_an_error_after_some_left_reaches_those_who_stayed() -> None:
    work, flights = Work(), Flights[str, int]()
    leaving, staying = await joined(flights, work, 2)
    leaving.cancel()
    await asyncio.wait([leaving])
    work.result.set_exception(Failed())

    with pytest.raises(Failed):
        await staying


async def test_who_joins_a_computation_is_linked_to_who_began_it() -> None:
    exported = Exported()
    work, flights = Work(), Flights[str, int]()

    async def ask(name: str) -> None:
        with Active(exported.tracer.begin(name)):
            await flights.join("key", work)

    first = asyncio.create_task(ask("first"))
    await work.under_way.wait()
    second = asyncio.create_task(ask("second"))
    await asyncio.sleep(0)
    work.result.set_result(1)
    await asyncio.gather(first, second)

    began, later = sorted(exported.spans, key=lambda span: span.name)
    assert (began.links, later.links) == ([], [began.context])
