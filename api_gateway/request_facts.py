"""What a layer or a route has to tell of a request: facts for its line in the log, and fields for its answer."""

from collections.abc import MutableMapping
from typing import Any

_KEY = "api_gateway.request_facts"
#: That of ASGI, which copies of it share.
Scope = MutableMapping[str, Any]


class RequestFacts:
    """Of one request. Whoever has its scope, or a copy as routers hand it on, reaches the same facts."""

    request_id = ""
    status = 0
    facts: dict[str, Any] | None = None
    #: Why the request has no good answer.
    error: Exception | str | None = None

    def __init__(self, fields: list[tuple[bytes, bytes]]) -> None:
        self.fields = fields

    def stand_in(self, scope: Scope) -> None:
        scope[_KEY] = self

    def leave(self, scope: Scope) -> None:
        """At the end: the server's scope and the traceback of an error lead back here, and a circle is garbage."""
        del scope[_KEY]
        self.error = None


def note(scope: Scope, **facts: Any) -> None:
    """Adds facts to the log line of the request, which has one then whatever the policy says."""
    request = _of(scope)
    request.facts = {**(request.facts or {}), **facts}


def note_error(scope: Scope, error: Exception | str) -> None:
    """Says why the request fails, which its line tells; what is said first stands, for the rest comes of it.

    Nobody is told where no layer has the request, or has it any more.
    """
    if _KEY in scope and _of(scope).error is None:
        _of(scope).error = error


def answered_in_place(scope: Scope, status: int, why: str) -> None:
    """Says that the connection itself has answered; what the layers answer now, nobody gets."""
    if _KEY in scope:
        _of(scope).status = status
        note_error(scope, why)


def request_id_of(scope: Scope) -> str:
    """Empty where no layer has the request, or has it any more."""
    return _of(scope).request_id if _KEY in scope else ""


def add_fields(scope: Scope, *fields: tuple[bytes, bytes]) -> None:
    """Adds header fields to the answer, whatever it will be."""
    _of(scope).fields.extend(fields)


def _of(scope: Scope) -> RequestFacts:
    request: RequestFacts = scope[_KEY]
    return request
