"""One request and its answer on a connection, as uvicorn has them, with a head written in a third of the time.

uvicorn searches each name and each value of a head for what must not be there, which takes as long as all of our own
layers. Here the head is looked at once, when it is whole.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

#: What becomes of the body and of the connection otherwise is uvicorn's to read.
_FRAMING = frozenset({b"transfer-encoding", b"connection"})
_LENGTH = b"content-length"
_CLOSE, _END = b"connection: close\r\n", b"\r\n"


class ResponseCycle(RequestResponseCycle):
    async def send(self, message: Any) -> None:
        plain = message["type"] == "http.response.start" and not (self.response_started or self.disconnected)
        if not plain or self.flow.write_paused or not self._start(message):
            await super().send(message)

    def _start(self, message: Any) -> bool:
        """Whether the head is written: one that tells the length of its body, and is as a head has to be."""
        length = b""
        lines = [STATUS_LINE[message["status"]]]
        for name, value in (*self.default_headers, *message.get("headers", ())):
            if name == _LENGTH and not length and value.isdigit():
                length = value
            elif name == _LENGTH or name in _FRAMING:
                return False
            lines.append(b"%b: %b\r\n" % (name, value))
        if not length:
            return False
        if not self.keep_alive:
            lines.append(_CLOSE)
        lines.append(_END)
        head = b"".join(lines)
        if not head.count(b"\r") == head.count(b"\n") == len(lines) or b"\0" in head:
            return False
        self.response_started, self.waiting_for_100_continue = True, False
        self.chunked_encoding, self.expected_content_length = False, int(length)
        self.transport.write(head)
        return True
