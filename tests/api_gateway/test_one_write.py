from typing import Any, cast

import pytest

from api_gateway.one_write import MAX_JOINED_BYTES, OneWrite

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
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

    def is_closing(self) -> bool:
        return self.closed


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ([HEAD, b"12345"], [HEAD + b"12345"]),
        ([HEAD, b""], [HEAD]),
        ([HEAD, b"123", b"45"], [HEAD + b"123", b"45"]),
        ([HEAD, LARGE], [HEAD, LARGE]),
        ([CHUNKED], [CHUNKED]),
        ([CHUNKED, b"5\r\n12345\r\n"], [CHUNKED, b"5\r\n12345\r\n"]),
        ([CONTINUE, HEAD, b"12345"], [CONTINUE, HEAD + b"12345"]),
        ([HEAD, HEAD, HEAD], [HEAD + HEAD, HEAD]),
    ],
)
def test_a_head_with_a_length_waits_for_the_first_of_its_body_and_nothing_else_waits(
    given: list[bytes], written: list[bytes]
) -> None:
    transport = Transport()
    one = OneWrite(cast("Any", transport))
    for data in given:
        one.write(data)

    assert transport.writes == written


def test_an_answer_that_breaks_off_after_its_head_is_seen_to_do_so() -> None:
    transport = Transport()
    one = OneWrite(cast("Any", transport))
    one.write(HEAD)
    assert transport.writes == []
    one.close()

    assert (transport.writes, one.is_closing()) == ([HEAD], True)
