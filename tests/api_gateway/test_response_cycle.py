"""What is written of a head, beside what uvicorn writes of the same."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api_gateway.response_cycle import MAX_JOINED_BYTES, ResponseCycle

DATE = (b"date", b"today")
Fields = list[tuple[bytes, bytes]]
LENGTH = (b"content-length", b"5")
LARGE = b"x" * (MAX_JOINED_BYTES + 1)


class Transport:
    """Keeps what is written to it, each write by itself."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.writes.append(data)

    def close(self) -> None:
        self.closed = True


def cycle_of(
    kind: type[RequestResponseCycle], transport: Transport, *, method: str = "GET", keep_alive: bool = True
) -> RequestResponseCycle:
    return kind(
        scope=cast("Any", {"method": method, "http_version": "1.1"}),
        transport=cast("Any", transport),
        flow=cast("Any", SimpleNamespace(write_paused=False)),
        logger=cast("Any", None),
        access_logger=cast("Any", None),
        access_log=False,
        default_headers=[DATE],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )


def start(*fields: tuple[bytes, bytes], status: int = 200) -> Any:
    return {"type": "http.response.start", "status": status, "headers": fields}


def body(data: bytes, *, more: bool = False) -> Any:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def written(
    kind: type[RequestResponseCycle], status: int, fields: Fields, *, method: str = "GET", keep_alive: bool = True
) -> tuple[list[bytes], Any]:
    """What a cycle writes of a head and a body, and what it made of them; or the error that it raises."""
    transport = Transport()
    cycle = cycle_of(kind, transport, method=method, keep_alive=keep_alive)
    try:
        await cycle.send(start(*fields, status=status))
        await cycle.send(body(b"12345"))
    except (RuntimeError, ValueError) as error:
        return transport.writes, str(error)
    made_of_them = (transport.closed, cycle.keep_alive, cycle.response_complete, cycle.chunked_encoding)
    return [b"".join(transport.writes)], made_of_them


def names_and_values() -> st.SearchStrategy[Fields]:
    names = st.sampled_from([b"x-one", b"content-length", b"transfer-encoding", b"connection", b"content-type", b"a b"])
    values = st.sampled_from(
        [b"5", b"close", b"chunked", b"keep-alive, close", b"text/plain", b"a\r\nb: c", b"\0", b""]
    )
    return st.lists(st.tuples(names, values), max_size=5)


@example(fields=[(b"content-length", b"close"), LENGTH], status=200, method="GET", keep_alive=True, with_length=False)
@given(
    fields=names_and_values(),
    status=st.sampled_from([200, 204, 304, 404]),
    method=st.sampled_from(["GET", "HEAD"]),
    keep_alive=st.booleans(),
    with_length=st.booleans(),
)
@settings(max_examples=500, deadline=None)
async def test_it_writes_what_uvicorn_writes(
    *, fields: Fields, status: int, method: str, keep_alive: bool, with_length: bool
) -> None:
    every = [LENGTH, *fields] if with_length else fields
    ours = await written(ResponseCycle, status, every, method=method, keep_alive=keep_alive)
    theirs = await written(RequestResponseCycle, status, every, method=method, keep_alive=keep_alive)
    if b"a b" not in dict(every):  # a name that our code could only have by mistake, which breaks nothing
        assert ours == theirs


@pytest.mark.parametrize("value", [b"a\r\nx-injected: 1", b"a\nb", b"a\rb", b"a\0b"])
async def test_a_value_that_would_be_two_fields_is_refused(value: bytes) -> None:
    writes, error = await written(ResponseCycle, 200, [LENGTH, (b"x-one", value)])

    assert (writes, error) == ([], "Invalid HTTP header value.")


@pytest.mark.parametrize(
    ("messages", "writes"),
    [
        ([start(LENGTH), body(b"12345")], [b"head12345"]),
        ([start((b"content-length", b"0")), body(b"")], [b"head"]),
        ([start(LENGTH), body(b"123", more=True), body(b"45")], [b"head", b"123", b"45"]),
        ([start(LENGTH), body(b"12345", more=True), body(b"")], [b"head", b"12345", b""]),
        ([start((b"content-length", b"%d" % len(LARGE))), body(LARGE)], [b"head", LARGE]),
        ([start(), body(b"12345")], [b"head", b"5\r\n12345\r\n0\r\n\r\n"]),
    ],
    ids=["whole", "empty", "in parts", "with an end", "large", "chunked"],
)
async def test_an_answer_that_is_whole_and_not_large_is_one_write(messages: list[Any], writes: list[bytes]) -> None:
    transport = Transport()
    cycle = cycle_of(ResponseCycle, transport)
    for message in messages:
        await cycle.send(message)

    head, separator, rest = transport.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: today")
    assert separator
    assert [b"head" + rest, *transport.writes[1:]] == writes
    assert cycle.response_complete


@pytest.mark.parametrize(
    ("length", "message"),
    [(b"5", body(b"123456")), (b"5", body(b"1234")), (b"5", start()), (b"0", start())],
    ids=["longer", "shorter", "another head", "another head for no body"],
)
async def test_what_is_no_body_of_that_head_is_an_error_as_uvicorn_has_it(length: bytes, message: Any) -> None:
    errors = []
    for kind in (ResponseCycle, RequestResponseCycle):
        cycle = cycle_of(kind, Transport())
        await cycle.send(start((b"content-length", length)))
        with pytest.raises(RuntimeError) as raised:
            await cycle.send(message)
        errors.append(str(raised.value))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("before", ["head", "body"])
async def test_nothing_is_written_to_a_client_that_is_gone(before: str) -> None:
    transport = Transport()
    cycle = cycle_of(ResponseCycle, transport)
    cycle.disconnected = before == "head"
    await cycle.send(start(LENGTH))
    cycle.disconnected = True
    await cycle.send(body(b"12345"))

    assert transport.writes == []


async def test_a_head_goes_to_a_client_that_has_taken_what_went_before() -> None:
    transport = Transport()
    cycle = cycle_of(ResponseCycle, transport)
    taken = asyncio.Event()
    cycle.flow = cast("Any", SimpleNamespace(write_paused=True, drain=taken.wait))
    begun = asyncio.create_task(cycle.send(start(LENGTH)))
    await asyncio.sleep(0)
    assert (transport.writes, begun.done()) == ([], False)

    taken.set()
    await begun
    assert len(transport.writes) == 1
