"""What is written of a head, beside what uvicorn writes of the same."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from api_gateway.response_cycle import ResponseCycle

DATE = (b"date", b"today")
Fields = list[tuple[bytes, bytes]]
LENGTH = (b"content-length", b"5")


async def written(
    kind: type[RequestResponseCycle], status: int, fields: Fields, *, method: str = "GET", keep_alive: bool = True
) -> tuple[list[bytes], Any]:
    """What a cycle writes of a head and a body, and what it made of them; or the error that it raises."""
    writes: list[bytes] = []
    transport = SimpleNamespace(write=writes.append, close=lambda: writes.append(b"closed"))
    cycle = kind(
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
    start: Any = {"type": "http.response.start", "status": status, "headers": fields}
    body: Any = {"type": "http.response.body", "body": b"12345"}
    try:
        await cycle.send(start)
        await cycle.send(body)
    except (RuntimeError, ValueError) as error:
        return writes, str(error)
    return [b"".join(writes)], (cycle.keep_alive, cycle.response_complete, cycle.chunked_encoding)


def names_and_values() -> st.SearchStrategy[Fields]:
    names = st.sampled_from([b"x-one", b"content-length", b"transfer-encoding", b"connection", b"content-type", b"a b"])
    values = st.sampled_from(
        [b"5", b"close", b"chunked", b"keep-alive, close", b"text/plain", b"a\r\nb: c", b"\0", b""]
    )
    return st.lists(st.tuples(names, values), max_size=5)


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
