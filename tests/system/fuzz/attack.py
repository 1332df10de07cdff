"""Sends what the fuzzer makes, many at once, and judges every answer."""

import asyncio
import itertools
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc

from tests.system.fuzz.frames import DATA, frames_of
from tests.system.fuzz.messages import SERVICES, Call
from tests.system.fuzz.raw_http import LAST

#: Connections, or calls, at a time.
SENDERS = 64
#: A server that says nothing for so long waits for the rest of a request.
SILENCE_SECONDS = 0.25
CALL_SECONDS = 30
#: Fewer than a gateway takes ahead of the answers.
SENT_AHEAD = 10

_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")
#: As gRPC writes it at the end of a call: a name that stands in full, the length of the number, the number.
_GRPC_STATUS = re.compile(rb"grpc-status[\x01\x02](\d{1,2})")
_LEAK = re.compile(
    r"Traceback|File \"|\b[A-Z]\w+(?:Error|Exception)\b|<class '|\.py\b"
    r"|\b(?:api_gateway|fibonacci_service|stats_service|service_kit|fastapi|google|pydantic|sqlalchemy|uvicorn)\.\w"
)
_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}
#: What a call that is wrong may end with.
_REFUSED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.NOT_FOUND,
}
#: What gRPC itself says of frames and header fields that are none: INTERNAL, and none of them reaches a service.
_NO_FRAME = re.compile(
    rb"grpc-message.{1,3}(?:Failed parsing HTTP/2|Compression bit set|Error parsing '|Illegal header)", re.DOTALL
)

T = TypeVar("T")


@dataclass
class Verdicts:
    """How often each status came, and what did harm."""

    sent: int = 0
    statuses: Counter[object] = field(default_factory=Counter)
    harmful: list[tuple[object, str]] = field(default_factory=list)

    def judge(self, request: object, status: object, fault: str) -> None:
        self.statuses[status] += 1
        if fault:
            self.harmful.append((request, fault))

    def add(self, others: "Verdicts") -> None:
        self.sent += others.sent
        self.statuses += others.statuses
        self.harmful += others.harmful


async def at_once(inputs: Iterator[T], send: Callable[[T, Verdicts], Awaitable[None]]) -> Verdicts:
    """Sends every input, some at a time."""
    verdicts = Verdicts()

    async def work() -> None:
        for given in inputs:
            await send(given, verdicts)

    async with asyncio.TaskGroup() as group:
        for _ in range(SENDERS):
            group.create_task(work())
    return verdicts


async def attack_raw(port: int, inputs: Iterator[bytes]) -> Verdicts:
    """HTTP connections, one for each input."""

    async def send(text: bytes, verdicts: Verdicts) -> None:
        answer = await _exchanged(port, text, ends=not text.endswith(LAST))
        statuses = [int(status) for status in _STATUS.findall(answer)]
        verdicts.sent += 1
        verdicts.judge(text, statuses[0] if statuses else 0, http_fault(statuses, answer))

    return await at_once(inputs, send)


async def attack_http(port: int, inputs: Iterator[bytes]) -> Verdicts:
    """HTTP requests, several ahead of their answers. What comes behind one that ends the connection is sent anew."""

    async def send(texts: tuple[bytes, ...], verdicts: Verdicts) -> None:
        waiting = texts
        while waiting:
            answer = await _exchanged(port, b"".join(waiting) + LAST.lstrip(), ends=False, silence_seconds=CALL_SECONDS)
            statuses = [int(status) for status in _STATUS.findall(answer)][: len(waiting)]
            for text, status in zip(waiting, statuses, strict=False):
                verdicts.judge(text, status, http_fault([status], b""))
            verdicts.sent += len(statuses)
            if not statuses or (leak := http_fault([], answer)):
                verdicts.judge(waiting, 0, "no answer" if not statuses else leak)
                break
            waiting = waiting[len(statuses) :]

    return await at_once(_batches(inputs), send)


async def attack_frames(port: int, inputs: Iterator[bytes]) -> Verdicts:
    """Connections to a gRPC port. Messages are not searched for leaks: the bytes of a time spell any word."""

    async def send(text: bytes, verdicts: Verdicts) -> None:
        answer = await _exchanged(port, text, ends=False, silence_seconds=0.05)
        codes = [_CODES[int(code)] for code in _GRPC_STATUS.findall(answer)]
        fault = frames_fault(codes, answer)
        verdicts.sent += 1
        verdicts.judge(text, codes[0] if codes else bool(answer), fault)

    return await at_once(inputs, send)


async def attack_grpc(ports: dict[str, int], inputs: Iterator[Call]) -> Verdicts:
    async with _channels(ports) as channels:

        async def send(call: Call, verdicts: Verdicts) -> None:
            verdicts.sent += 1
            try:
                await _called(channels[call.service], call)
            except grpc.aio.AioRpcError as error:
                verdicts.judge(call, error.code(), grpc_fault(call, error))
            else:
                verdicts.judge(call, grpc.StatusCode.OK, "")

        return await at_once(inputs, send)


def http_fault(statuses: Iterable[int], answer: bytes) -> str:
    worst = max(statuses, default=0)
    return f"status {worst}" if worst >= 500 else _leak(answer.decode("latin-1"))


def frames_fault(codes: list[grpc.StatusCode], answer: bytes) -> str:
    internal = codes.count(grpc.StatusCode.INTERNAL) - len(_NO_FRAME.findall(answer))
    if internal > 0 or grpc.StatusCode.UNKNOWN in codes:
        return f"{internal} INTERNAL among {codes}"
    return _leak(b"\0".join(payload for kind, payload in frames_of(answer) if kind != DATA).decode("latin-1"))


def grpc_fault(call: Call, error: grpc.aio.AioRpcError) -> str:
    details = error.details() or ""
    if call.is_unimplemented:
        expected = {grpc.StatusCode.UNIMPLEMENTED}
    elif call.is_decodable:
        expected = _REFUSED
    else:
        expected = {grpc.StatusCode.INVALID_ARGUMENT}
    if call.is_oversized:
        expected |= {grpc.StatusCode.RESOURCE_EXHAUSTED}
    return _leak(details) if error.code() in expected else f"{error.code().name}: {details}"


def _leak(text: str) -> str:
    found = _LEAK.search(text)
    return found.group() if found else ""


def _batches(inputs: Iterator[bytes]) -> Iterator[tuple[bytes, ...]]:
    while batch := tuple(itertools.islice(inputs, SENT_AHEAD)):
        yield batch


async def _exchanged(port: int, text: bytes, *, ends: bool, silence_seconds: float = SILENCE_SECONDS) -> bytes:
    """Everything that comes back until the server closes or is silent. With `ends` it is told that no more comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = bytearray()
    try:
        writer.write(text)
        if ends:
            writer.write_eof()
        while True:
            async with asyncio.timeout(silence_seconds):
                read = await reader.read(1 << 20)
            if not read:
                break
            answer += read
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return bytes(answer)


@asynccontextmanager
async def _channels(ports: dict[str, int]) -> AsyncIterator[dict[str, Any]]:
    alone = (("grpc.use_local_subchannel_pool", 1),)
    channels = {service: grpc.aio.insecure_channel(f"127.0.0.1:{ports[service]}", alone) for service in SERVICES}
    try:
        yield channels
    finally:
        for channel in channels.values():
            await channel.close()


async def _called(channel: Any, call: Call) -> None:
    """Reads everything that is answered; the first message of a stream that has no end."""
    arguments: dict[str, Any] = {"timeout": CALL_SECONDS, "wait_for_ready": True, "metadata": call.metadata}
    if not call.server_streaming:
        await channel.unary_unary(call.method)(call.requests[0], **arguments)
        return
    if call.client_streaming:
        await _in_turns(channel.stream_stream(call.method)(**arguments), call)
        return
    stream = channel.unary_stream(call.method)(call.requests[0], **arguments)
    while await stream.read() is not grpc.aio.EOF:
        if call.is_endless:
            stream.cancel()
            break


async def _in_turns(stream: Any, call: Call) -> None:
    """A message after the answer to the one before: what is written to a call that has ended makes its status up."""
    for request in call.requests:
        await stream.write(request)
        if await stream.read() is grpc.aio.EOF:
            return
    await stream.done_writing()
    while await stream.read() is not grpc.aio.EOF:
        pass
