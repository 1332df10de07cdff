import asyncio
import json
import re
import signal
import socket
from collections.abc import Iterator

import pytest
import structlog
from pydantic_settings import SettingsConfigDict

from service_kit import lifecycle
from service_kit.lifecycle import CannotStart, bind_socket, supervise
from service_kit.settings import ServiceSettings
from tests.service_kit import programs


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="DEMO_")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


def test_a_socket_listens_where_the_settings_say() -> None:
    with bind_socket(Settings(listen_port=0)) as bound, socket.create_connection(bound.getsockname(), timeout=30):
        assert bound.getsockname()[0] == "127.0.0.1"
        assert bound.getsockname()[1] > 0


def test_a_port_in_use_is_one_line_that_names_the_port_and_the_setting(taken_port: int) -> None:
    reason = f"^cannot listen on 127.0.0.1 port {taken_port}: Address already in use"
    with pytest.raises(CannotStart, match=reason) as caught:
        bind_socket(Settings(listen_port=taken_port))

    assert str(caught.value).endswith("; DEMO_LISTEN_HOST and DEMO_LISTEN_PORT choose another")
    assert len(str(caught.value).splitlines()) == 1


def test_an_address_of_another_machine_is_one_line_that_names_it_and_the_setting() -> None:
    with pytest.raises(CannotStart, match=r"^cannot listen on 192\.0\.2\.1 port 0: .+DEMO_LISTEN_HOST") as caught:
        bind_socket(Settings(listen_host="192.0.2.1", listen_port=0))

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "..", "256.1.1.1"], ids=["long", "empty label", "dots", "number"])
def test_a_host_that_cannot_be_a_name_is_one_line_that_names_it_and_the_setting(host: str) -> None:
    with pytest.raises(CannotStart, match=f"^cannot listen on {re.escape(host)} port 0: .+DEMO_LISTEN_HOST") as caught:
        bind_socket(Settings(listen_host=host, listen_port=0))

    assert len(str(caught.value).splitlines()) == 1


async def test_work_that_crashes_or_ends_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "RESTART_DELAY_SECONDS", 0)
    third = asyncio.Event()
    starts = iter(range(3))

    async def work() -> None:
        match next(starts):
            case 0:
                raise ValueError("broken")
            case 2:
                third.set()
                await asyncio.Event().wait()

    with structlog.testing.capture_logs() as lines:
        await started_until(third, asyncio.create_task(supervise("the_work", work)))

    assert [(line["event"], line["task"]) for line in lines] == [
        ("task.crashed", "the_work"),
        ("task.ended", "the_work"),
    ]
    assert lines[0]["exc_info"]


async def started_until(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    async with asyncio.timeout(30):
        await event.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_work_that_crashes_again_and_again_is_started_at_most_once_a_second() -> None:
    starts: list[float] = []
    twice = asyncio.Event()

    async def work() -> None:
        starts.append(asyncio.get_running_loop().time())
        if len(starts) > 1:
            twice.set()
        raise ValueError("broken")

    await started_until(twice, asyncio.create_task(supervise("the_work", work)))

    assert starts[1] - starts[0] >= 0.99


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_the_service_and_ends_the_process_well(number: signal.Signals) -> None:
    process = programs.start(programs.SERVICE)
    started = json.loads(programs.line_with("service.started", process))

    status, output, errors = programs.finished(process, number)

    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert (started["service"], started["host"], started["port"]) == ("demo", "127.0.0.1", 12345)
    assert events == ["service.stopping", "demo.draining", "service.stopped"]
    assert f'"signal":"{number.name}"' in output
    assert (status, errors) == (0, "")


def test_a_hangup_that_is_ignored_from_the_start_stays_so() -> None:
    process = programs.start(programs.SERVICE, through=programs.WITHOUT_HANGUP)
    programs.line_with("service.started", process)
    process.send_signal(signal.SIGHUP)

    _, output, _ = programs.finished(process, signal.SIGTERM)

    assert '"signal":"SIGTERM"' in output


def test_a_second_signal_ends_the_process_at_once() -> None:
    process = programs.start(programs.SERVICE, "--drain-timeout-seconds=600")
    programs.line_with("service.started", process)
    process.send_signal(signal.SIGINT)
    programs.line_with("demo.draining", process)

    assert programs.finished(process, signal.SIGTERM) == (128 + signal.SIGTERM, "", "")


def test_what_a_service_loaded_at_its_start_is_left_out_of_later_garbage_collections() -> None:
    program = """
import gc

@contextlib.asynccontextmanager
async def running(settings):
    yield 12345
    log.info("demo.draining", frozen=gc.get_freeze_count())

run(running)
"""
    process = programs.start(program)
    programs.line_with("service.started", process)

    _, output, _ = programs.finished(process, signal.SIGTERM)

    [draining] = [line for line in map(json.loads, output.splitlines()) if line["event"] == "demo.draining"]
    assert draining["frozen"] > 10_000


def test_what_keeps_a_service_from_starting_is_one_line_and_status_1() -> None:
    program = """
@contextlib.asynccontextmanager
async def running(settings):
    raise CannotStart("the disk is full")
    yield

run(running)
"""
    assert programs.finished(programs.start(program)) == (1, "", "demo: the disk is full\n")


def test_a_bad_setting_is_one_line_and_status_2() -> None:
    process = programs.start(programs.SERVICE, environment={"DEMO_LISTEN_PORT": "many"})

    status, output, errors = programs.finished(process)

    assert (status, output, len(errors.splitlines())) == (2, "", 1)
    assert errors.startswith("demo: DEMO_LISTEN_PORT='many': ")


def test_the_help_lists_the_settings_and_ends_well() -> None:
    status, output, errors = programs.finished(programs.start(programs.SERVICE, "--help"))

    assert (status, errors) == (0, "")
    assert "--drain-timeout-seconds" in output


@pytest.mark.parametrize("value", ["1", "\udcff"], ids=["text", "bytes"])
def test_an_unknown_variable_is_a_warning_that_names_the_nearest_known_one(value: str) -> None:
    process = programs.start(programs.SERVICE, environment={"DEMO_LISTEN_PROT": value})

    warning = json.loads(programs.line_with("setting.unknown", process))
    programs.line_with("service.started", process)

    assert programs.finished(process, signal.SIGTERM)[0] == 0
    assert (warning["level"], warning["name"], warning["nearest"]) == (
        *("warning", "DEMO_LISTEN_PROT"),
        "DEMO_LISTEN_PORT",
    )


def test_a_variable_whose_name_is_no_text_keeps_no_service_from_starting() -> None:
    process = programs.start(programs.SERVICE, environment={"DEMO_\udcff": "1"})

    programs.line_with("service.started", process)

    assert programs.finished(process, signal.SIGTERM)[0] == 0
