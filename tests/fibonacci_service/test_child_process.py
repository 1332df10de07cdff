import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import pytest

from fibonacci_service.child_process import ChildProcess, start_child
from tests.fibonacci_service.processes import is_there

BUFFER_BYTES = 1 << 16

#: Starts a child in a process where whoever forks ends the child before it is another program.
IN_AN_UNSAFE_PLACE = """
import os, sys, uvloop
from fibonacci_service.child_process import start_child
os.register_at_fork(after_in_child=lambda: os._exit(77))
async def main():
    return await (await start_child("true", buffer_bytes=1)).wait()
print(uvloop.run(main()))
"""
#: Leaves behind a child that ends only with its parent.
LEAVING = """
import asyncio
from fibonacci_service.child_process import start_child
asyncio.run(start_child("cat", buffer_bytes=1))
"""
#: Writes as much as is taken.
ENDLESS = """
import os
while True:
    os.write(1, bytes(1 << 16))
"""


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


async def started(code: str) -> ChildProcess:
    return await start_child(sys.executable, "-c", code, buffer_bytes=BUFFER_BYTES)


async def test_a_child_finds_what_is_written_and_what_it_writes_is_read() -> None:
    child = await start_child("cat", buffer_bytes=BUFFER_BYTES)
    child.writer.write(b"one line\n")
    assert await child.reader.readline() == b"one line\n"
    assert child.returncode is None

    child.writer.write_eof()

    assert await child.reader.read() == b""
    assert await child.wait() == 0 == child.returncode


async def test_what_a_child_wrote_before_its_end_is_read_after_it() -> None:
    child = await started("print('x' * 100_000)")
    assert await child.wait() == 0
    assert await child.reader.read() == b"x" * 100_000 + b"\n"


async def test_a_child_has_to_wait_when_its_buffer_is_full() -> None:
    child = await start_child(sys.executable, "-c", ENDLESS, buffer_bytes=1 << 20)
    connection = cast("asyncio.Transport", child.writer.transport)
    async with asyncio.timeout(30):
        while connection.is_reading():  # noqa: ASYNC110 - nothing tells when it stops
            await asyncio.sleep(0.01)

    child.kill()
    await child.wait()

    assert 1 << 20 < len(await child.reader.read()) < 4 << 20


async def test_an_ended_child_is_reaped_and_its_connection_closed() -> None:
    child = await started("raise SystemExit(3)")
    async with asyncio.timeout(30):
        await child.writer.wait_closed()
        assert [await child.wait(), await child.wait()] == [3, 3]
    assert not is_there(child)
    child.kill()


async def test_a_killed_child_says_so() -> None:
    child = await start_child("cat", buffer_bytes=BUFFER_BYTES)
    child.kill()
    assert await child.wait() == -9


async def test_its_errors_go_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    await (await started("import sys; sys.exit('a word that nobody is to see')")).wait()
    assert capfd.readouterr() == ("", "")


def test_a_child_may_end_after_the_loop_that_it_was_started_in() -> None:
    async def left() -> ChildProcess:
        child = await start_child("sleep", "60", buffer_bytes=BUFFER_BYTES)
        child.writer.close()
        await child.writer.wait_closed()
        return child

    child = asyncio.run(left())
    child.kill()
    for thread in threading.enumerate():
        if thread.name == f"child-{child.pid}":
            thread.join(30)
    assert not is_there(child)


def test_a_child_keeps_no_parent_that_wants_to_end() -> None:
    assert subprocess.check_output([sys.executable, "-c", LEAVING], timeout=60) == b""


def test_no_python_runs_in_a_child_before_it_is_another_program() -> None:
    done = subprocess.check_output([sys.executable, "-c", IN_AN_UNSAFE_PLACE], text=True, timeout=60)
    assert done == "0\n"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells its open files there")
async def test_nothing_stays_open_of_a_child_that_cannot_be_started(tmp_path: Path) -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(start_child("cat", buffer_bytes=BUFFER_BYTES))
        await asyncio.sleep(0)  # it is about to connect
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = open_files()
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            await start_child(str(tmp_path / "nothing"), buffer_bytes=BUFFER_BYTES)
        await cancelled()
    await asyncio.sleep(0)
    assert open_files() <= before
