"""What every answer tells a browser that opens it, and what the pages of the documentation tell."""

import base64
import hashlib
import re
from collections.abc import Mapping

from fastapi import FastAPI, Request
from starlette.routing import Route

Fields = tuple[tuple[bytes, bytes], ...]

# An answer is data: no browser takes it for something else, or gives it to a page of another site that embeds it.
# A page that CORS lets in reads it nevertheless.
_COMMON: Fields = (
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NOTHING = "default-src 'none'; frame-ancestors 'none'"

_PAGES = frozenset({"/docs", "/redoc"})
# They style what they show as they go. /redoc shows a logo, and searches in a worker that it writes itself.
_PAGE = (
    f"{_NOTHING}; connect-src 'self'; script-src %b; style-src %b 'unsafe-inline'; "
    "img-src data: https://cdn.redoc.ly/redoc/ %b; font-src https://fonts.gstatic.com; worker-src blob:"
)
# Only a page loads something from elsewhere, and that need not know from where.
_PAGE_FIELDS: Fields = ((b"referrer-policy", b"no-referrer"),)
_SCRIPT = re.compile(rb'<script src="([^"?;,]+)')
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
_STYLE = re.compile(rb'<link(?=[^>]* rel="stylesheet")[^>]* href="([^"?;,]+)')
_ICON = re.compile(rb'<link rel="shortcut icon" href="([^"?;,]+)')


def _with_policy(policy: bytes) -> Fields:
    return (*_COMMON, (b"content-security-policy", policy))


#: Of an answer that is no page.
FIELDS = _with_policy(_NOTHING.encode())


class SecurityHeaders:
    """The fields of every answer, by its path: made once, and only looked up for a request."""

    def __init__(self, *, policies: Mapping[str, bytes], hsts_seconds: int) -> None:
        """`hsts_seconds` is 0 without TLS, where a browser has to take no notice of that field."""
        hsts: Fields = ()
        if hsts_seconds:
            hsts = ((b"strict-transport-security", b"max-age=%d" % hsts_seconds),)
        self._usual = (*FIELDS, *hsts)
        self._of_pages = {path: (*_with_policy(policy), *_PAGE_FIELDS, *hsts) for path, policy in policies.items()}

    def of(self, path: str) -> Fields:
        return self._of_pages.get(path, self._usual)


async def page_policies(app: FastAPI) -> dict[str, bytes]:
    """For each page of FastAPI's a policy that lets it load what it names, and run the script that stands in it."""
    pages = [route for route in app.routes if isinstance(route, Route) and route.path in _PAGES]
    request = Request({"type": "http", "headers": []})
    return {route.path: page_policy(bytes((await route.endpoint(request)).body)) for route in pages}


def page_policy(page: bytes) -> bytes:
    digests = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page))
    inline = [b"'sha256-%b'" % base64.b64encode(digest) for digest in digests]
    scripts = [*_SCRIPT.findall(page), *inline]
    return _PAGE.encode() % (b" ".join(scripts), b" ".join(_STYLE.findall(page)), b" ".join(_ICON.findall(page)))
