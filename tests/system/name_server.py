"""A name server on loopback whose answers change while it runs."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dnslib import QTYPE, RR, A, DNSRecord


class NameServer(asyncio.DatagramProtocol):
    """Answers with the addresses that a name has at the moment; IPv4, over UDP."""

    def __init__(self) -> None:
        self.addresses: dict[str, list[str]] = {}
        #: How often each name was asked for.
        self.asked: Counter[str] = Counter()
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        question = DNSRecord.parse(data)
        name = str(question.q.qname).rstrip(".")
        answer = question.reply()
        if question.q.qtype == QTYPE.A:
            self.asked[name] += 1
            for address in self.addresses.get(name, ()):
                answer.add_answer(RR(name, QTYPE.A, rdata=A(address)))
        self._transport.sendto(answer.pack(), addr)

    def target(self, name: str, port: int) -> str:
        """The gRPC target that asks this server, and not the machine's own, for the name."""
        host, own_port = self._transport.get_extra_info("sockname")
        return f"dns://{host}:{own_port}/{name}:{port}"


@asynccontextmanager
async def serving_names() -> AsyncIterator[NameServer]:
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(NameServer, local_addr=("127.0.0.1", 0))
    try:
        yield server
    finally:
        transport.close()
