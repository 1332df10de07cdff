"""One request and its answer on a connection, as uvicorn has them, with an answer that is whole written at once.

uvicorn writes the head and then the body, each a system call and a packet for the client, and searches each name and
each value of a head for what must not be there, which takes as long as all of our own layers. Here the head is looked
at once, when it is whole, and waits for the body.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

#: More of a body is not copied behind its head, which would take longer than to write it by itself.
MAX_JOINED_BYTES = 16 << 10

#: What becomes of the body and of the connection otherwise is uvicorn's to read.
_FRAMING = frozenset({b"transfer-encoding", b"connection"})
_LENGTH = b"content-length"
_CLOSE = (b"connection", b"close")


class ResponseCycle(RequestResponseCycle):
    #: A head that tells the length of its body, which follows at once: who answers so has it.
    _head = b""

    async def send(self, message: Any) -> None:
        if not (self._complete(message) if self._head else self._begin(message)):
            await super().send(message)

    def _begin(self, message: Any) -> bool:
        """Whether the head waits now: one that tells the length of a body that will follow, and is as it has to be."""
        if message["type"] != "http.response.start" or self.response_started or self.flow.write_paused:
            return False
        if self.scope["method"] == "HEAD":
            return False
        fields = [*self.default_headers, *message.get("headers", ())]
        by_name = dict(fields)
        length = by_name.get(_LENGTH, b"")
        if not length.isdigit() or len(by_name) < len(fields) or not _FRAMING.isdisjoint(by_name):
            return False
        if not self.keep_alive:
            fields.append(_CLOSE)
        head = b"%b%b\r\n\r\n" % (STATUS_LINE[message["status"]], b"\r\n".join(map(b": ".join, fields)))
        if not head.count(b"\r") == head.count(b"\n") == len(fields) + 2 or b"\0" in head:
            return False
        self.response_started, self.waiting_for_100_continue = True, False
        self.chunked_encoding, self.expected_content_length = False, int(length)
        self._head = head
        return True

    def _complete(self, message: Any) -> bool:
        """Whether the body was whole, and is written behind its head. If not, the head is written alone."""
        head, self._head = self._head, b""
        if self.disconnected:
            return True
        body = message.get("body", b"")
        whole = len(body) == self.expected_content_length and not message.get("more_body")
        if not whole or message["type"] != "http.response.body":
            self.transport.write(head)
            return False
        if len(body) > MAX_JOINED_BYTES:
            self.transport.write(head)
            self.transport.write(body)
        else:
            self.transport.write(head + body)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
        return True
