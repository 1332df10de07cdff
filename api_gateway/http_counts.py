"""What is counted of HTTP, in whichever layer it comes to its end."""

from collections.abc import Iterable
from typing import Any, Literal, get_args

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from service_kit.metrics import Histogram, Histograms
from service_kit.refusals import RefusalLog

#: Why the gateway itself refused a request, or broke off a connection.
Reason = Literal[
    "connections",
    "in_flight",
    "rate_limit",
    "malformed",
    "sent_ahead",
    "url_too_long",
    "headers_too_large",
    "request_too_slow",
    "reader_too_slow",
    "client_not_admitted",
]

#: What any other method is called is the client's choice, and names must not be without number.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "QUERY"})
#: What OpenTelemetry has for a method that is none of those.
OTHER_METHOD = "_OTHER"


class RouteTemplates:
    """Finds the template that a path was made from, also of a request that never came to its route."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._plain: dict[str, str] = {}
        self._patterns = []
        for template in templates:
            if "{" in template:
                self._patterns.append((compile_path(template)[0], template))
            else:
                self._plain[template] = template

    def of(self, path: str) -> str:
        """Empty for a path of none."""
        plain = self._plain.get(path)
        if plain is not None:
            return plain
        return next((template for pattern, template in self._patterns if pattern.fullmatch(path)), "")


class Refusals:
    """How often what was refused, with a line in the log for each reason, once a second at most."""

    def __init__(self) -> None:
        self._logs = {reason: RefusalLog("http.refused", reason=reason) for reason in get_args(Reason)}

    @property
    def totals(self) -> dict[str, int]:
        return {reason: refusals.total for reason, refusals in self._logs.items()}

    def count(self, reason: Reason, **facts: Any) -> None:
        """`facts` are for the log, such as which client it is."""
        self._logs[reason].count(**facts)


class HttpCounts:
    """Those of one gateway."""

    def __init__(self, templates: RouteTemplates) -> None:
        self.templates = templates
        #: By method, template and status; 0 is the status of a request that got no answer.
        self.durations = Histograms()
        #: Those of paths that are templates themselves, by method, path and status.
        self._plain: dict[tuple[str, str, int], Histogram] = {}
        self.in_flight = 0
        self.connections = 0
        self.refused = Refusals()

    def served(self, *, method: str, path: str, status: int, seconds: float) -> None:
        histogram = self._plain.get((method, path, status))
        if histogram is None:
            histogram = self._histogram(method, path, status)
        histogram.observe(seconds)

    def _histogram(self, method: str, path: str, status: int) -> Histogram:
        template, known = self.templates.of(path), method in METHODS
        histogram = self.durations.of((method if known else OTHER_METHOD, template, status))
        if known and template == path:  # others are the client's choice, and without number
            self._plain[method, path, status] = histogram
        return histogram


def documented_templates(app: FastAPI) -> list[str]:
    """Those of the OpenAPI document."""
    contexts = iter_route_contexts(app.routes)
    return [str(route.path) for route in contexts if getattr(route.original_route, "include_in_schema", False)]
