import asyncio

from stats_service.remembered import Remembered


class Reader:
    """Counts how often it read, and reads when it is let."""

    def __init__(self, *, waits: bool = False) -> None:
        self.begun = 0
        self.may_end = asyncio.Event()
        if not waits:
            self.may_end.set()

    async def read(self) -> int:
        self.begun += 1
        number = self.begun
        await self.may_end.wait()
        return number


async def test_all_who_ask_at_once_get_one_reading() -> None:
    reader = Reader(waits=True)
    remembered = Remembered(reader.read, seconds=60)
    asking = [asyncio.create_task(remembered.get()) for _ in range(10)]
    await asyncio.sleep(0)
    reader.may_end.set()

    assert await asyncio.gather(*asking) == [1] * 10
    assert await remembered.get() == 1


async def test_what_is_too_old_is_read_anew() -> None:
    remembered = Remembered(Reader().read, seconds=-1)

    assert [await remembered.get() for _ in range(3)] == [1, 2, 3]


async def test_what_is_forgotten_is_read_anew_although_its_reading_goes_on() -> None:
    reader = Reader(waits=True)
    remembered = Remembered(reader.read, seconds=60)
    before = asyncio.create_task(remembered.get())
    await asyncio.sleep(0)

    remembered.forget()
    after = asyncio.create_task(remembered.get())
    await asyncio.sleep(0)
    reader.may_end.set()

    assert (await before, await after, await remembered.get()) == (1, 2, 2)


async def test_who_goes_away_takes_the_reading_from_nobody_else() -> None:
    reader = Reader(waits=True)
    remembered = Remembered(reader.read, seconds=60)
    leaving, staying = (asyncio.create_task(remembered.get()) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    reader.may_end.set()

    assert leaving.cancelled()
    assert (await staying, reader.begun) == (1, 1)


async def test_a_reading_that_failed_is_told_to_all_who_waited_and_is_not_remembered() -> None:
    attempts = 0

    async def read() -> str:
        nonlocal attempts
        attempts += 1
        await asyncio.sleep(0)
        if attempts == 1:
            raise OSError("gone")
        return "read"

    remembered = Remembered(read, seconds=60)
    first = await asyncio.gather(*(remembered.get() for _ in range(3)), return_exceptions=True)

    assert [type(failed) for failed in first] == [OSError] * 3
    assert await remembered.get() == "read"
    assert attempts == 2
