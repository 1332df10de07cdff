"""Origins of web pages, read from text (RFC 6454)."""

import re

MAX_ORIGINS = 64
ANY_ORIGIN = "*"

# As a browser writes it: in lower case, and without a path, not even a slash.
_ORIGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::(?P<port>\d{1,5}))?")
_DEFAULT_PORTS = {("http", "80"), ("https", "443")}


def parse_origins(text: str) -> tuple[str, ...]:
    """The origins of a list with commas between. Raises ValueError."""
    origins = tuple(origin.strip() for origin in text.split(","))
    if origins == (ANY_ORIGIN,):
        return origins
    if len(origins) > MAX_ORIGINS:
        raise ValueError(f"has {len(origins)} origins; there may be {MAX_ORIGINS}")
    for origin in origins:
        _check(origin)
    return origins


def _check(origin: str) -> None:
    found = _ORIGIN.fullmatch(origin)
    if found is None:
        raise ValueError(
            f"{origin[:60]!r} is not an origin as browsers send it: scheme://host[:port] in lower case, without a path"
        )
    if (found["scheme"], found["port"]) in _DEFAULT_PORTS:
        raise ValueError(f"{origin[:60]!r} has the port that browsers leave out")
