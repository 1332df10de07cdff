"""TLS for uvicorn: certificates that are replaced while it serves, and clients admitted by the names in theirs."""

import asyncio
import ssl

from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api_gateway.outer_fields import with_outer_fields
from api_gateway.problems import problem
from service_kit.logs import MAX_LOGGED_NAMES
from service_kit.request_id import current_request_id, new_request_id
from service_kit.tls import Certificates


def newest_context(certificates: Certificates) -> ssl.SSLContext:
    """A context whose every handshake goes by the newest one: its certificate, and its authorities of clients."""

    def take_newest(connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = certificates.context

    context = certificates.context
    context.sni_callback = take_newest
    return context


def admitting(protocol: type[HttpToolsProtocol], names: frozenset[str]) -> type[HttpToolsProtocol]:
    """The protocol; with names, 403 answers whatever is asked by a client whose certificate carries none of them."""

    class Admitting(protocol):  # type: ignore[valid-type,misc]  # a class that is given
        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            shown = _names(transport.get_extra_info("ssl_object"))
            if names.isdisjoint(shown):
                self.counts.refused.count("client_not_admitted", client_names=sorted(shown)[:MAX_LOGGED_NAMES])
                self.app = _forbidden

    return Admitting if names else protocol


def _names(connection: ssl.SSLObject) -> set[str]:
    certificate = connection.getpeercert() or {}
    return {str(name[1]) for name in certificate.get("subjectAltName", ())}


async def _forbidden(scope: Scope, receive: Receive, send: Send) -> None:
    current_request_id.set(new_request_id())
    refusal = problem(403, "The client's certificate carries none of the names that are admitted here.")
    await with_outer_fields(refusal)(scope, receive, send)
