"""From the start of a process to its orderly end."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import structlog
import uvloop

from service_kit.logs import configure_logging
from service_kit.settings import GrpcServiceSettings, S, ServiceSettings, load_settings, unknown_variables

log = structlog.get_logger()

#: Objects that may come to be and not go before the young ones are looked through, in about a millisecond. Each call
#: leaves some behind: with 100,000, which is no faster, fibonacci_service held 12 MB of them (`python -m bench soak`).
YOUNG_OBJECTS = 20_000
#: How long a crashed task waits before it is started again.
RESTART_DELAY_SECONDS = 1.0


class CannotStart(Exception):
    """Something outside the process keeps the service from starting; the text is one line for the operator."""


def run_service(
    *,
    program: str,
    settings_type: type[S],
    running: Callable[[S], AbstractAsyncContextManager[int]],
    arguments: Sequence[str],
    environment: Mapping[str, str],
) -> None:
    """What a service's `__main__` does: settings, logs, then serve until a signal.

    `running` yields the port that the service listens on and drains when it is left.
    """
    settings = load_settings(settings_type, program=program, arguments=arguments)
    configure_logging(service=program, level=settings.log_level, log_format=settings.log_format)
    for name, nearest in unknown_variables(settings_type, environment).items():
        log.warning("setting.unknown", name=name, nearest=nearest)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, running))
    except CannotStart as error:
        _exit_with(f"{program}: {error}")


async def _serve(settings: S, running: Callable[[S], AbstractAsyncContextManager[int]]) -> None:
    stop = stop_signal()
    async with running(settings) as port:
        _freeze_garbage()
        log.info("service.started", host=settings.listen_host, port=port)
        log.info("service.stopping", signal=(await stop).name)
    log.info("service.stopped")


def _freeze_garbage() -> None:
    """Leaves what was loaded at the start out of every later collection, and collects less often.

    A full collection looks at the 70,000 objects of api_gateway's modules and classes for 45 ms, in which nobody is
    answered. With 256 connections p99 was 83 ms, and 48 without it in the same run; the rate rose by 8%.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 50, 50)


def stop_signal() -> "asyncio.Future[signal.Signals]":
    """The first SIGTERM, SIGINT or SIGHUP. A second one ends the process at once, whatever it is doing.

    A SIGHUP comes when the terminal is closed; one that was to be ignored from the start, as by nohup, still is.
    """
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[signal.Signals] = loop.create_future()

    def received(number: signal.Signals) -> None:
        if stopped.done():
            os._exit(128 + number)
        stopped.set_result(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, received, number)
    return stopped


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> NoReturn:
    """Runs work that is not meant to end: when it raises or returns, that is logged and it starts again."""
    while True:
        try:
            await work()
            log.error("task.ended", task=name)
        except Exception:
            log.exception("task.crashed", task=name)
        await asyncio.sleep(RESTART_DELAY_SECONDS)


def bind_socket(settings: ServiceSettings, *, reuse_port: bool = False) -> socket.socket:
    """Binds where a service listens. Raises CannotStart."""
    setting = f"{settings.prefix()}LISTEN"
    return bind_address(settings.listen_host, settings.listen_port, setting=setting, reuse_port=reuse_port)


def bind_metrics_socket(settings: GrpcServiceSettings) -> socket.socket:
    """Binds where a service serves its metrics. Raises CannotStart."""
    return bind_address(settings.metrics_host, settings.metrics_port, setting=f"{settings.prefix()}METRICS")


def bind_address(host: str, port: int, *, setting: str, reuse_port: bool = False) -> socket.socket:
    """A listening TCP socket that no other process shares unless `reuse_port` says so: a port in use is seen.

    Raises CannotStart with the port, the reason and the settings that change it, `setting` and `_HOST` or `_PORT`.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048, reuse_port=reuse_port)
    except (OSError, UnicodeError) as error:  # that one of a name that nobody need be asked for
        raise CannotStart(
            f"cannot listen on {host} port {port}: {_why(error)}; {setting}_HOST and {setting}_PORT choose another"
        ) from None


def _why(error: OSError | UnicodeError) -> str:
    """Without what the loop and the resolver add to it."""
    if isinstance(error, UnicodeError):
        return "it is no name"
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror)


def _exit_with(line: str) -> NoReturn:
    sys.stderr.write(f"{line}\n")  # whole, where print would send the end of the line after it
    raise SystemExit(1)
