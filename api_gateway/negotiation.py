"""Content negotiation, conditions and ranges of RFC 9110, as functions over header values.

What cannot be read in a header is passed over, never an error: a client is then answered as if it had not said it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Coding = Literal["gzip", "identity"]

#: More than any value has, and it fits the contract's int64.
MAX_BYTES = 10**18

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's word for a name
# Possessive, and closed by the end at the latest: reading it again from every quote would take time by the square.
_QUOTED = r'"(?:[^"\\]|\\.?)*+(?:"|$)'
_ELEMENT = re.compile(rf'(?:[^,"]|{_QUOTED})+')
_NAME = re.compile(rf"{_TOKEN}(?:/{_TOKEN})?")
_PARAMETER = re.compile(rf"[ \t]*;[ \t]*(?:({_TOKEN})=({_TOKEN}|{_QUOTED}))?")
# `q=.2` is no weight by the grammar, but old Java clients send it in every request.
_WEIGHT = re.compile(r"0?\.[0-9]{1,3}|0\.?|1(?:\.0{0,3})?")
_ENTITY_TAG = re.compile(r'"[^"]*"')
_WEAK_OR_STRONG = re.compile(r'(?:W/)?"[^"]*"')
_RANGE = re.compile(r"([0-9]*)[ \t]*-[ \t]*([0-9]*)")

#: Digits and JSON are ASCII, so a range that asks for one of these charsets gets what it asks for.
_CHARSETS = frozenset({"utf-8", "us-ascii"})
#: What `identity` weighs where it is not named: allowed, but behind whatever is named.
_UNNAMED = 0.0001


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    parameters: Mapping[str, str]
    weight: float


def choose_media_type(accept: str, offers: Sequence[str]) -> str | None:
    """Of the offers, best first, the one that an Accept header weighs most; None where it takes none of them."""
    if not accept.strip(" \t,"):
        return offers[0]
    ranges = list(_elements(accept))
    best = max(offers, key=lambda offer: _media_weight(offer, ranges))
    return best if _media_weight(best, ranges) > 0 else None


def choose_coding(accept_encoding: str | None, *, gzip_pays: bool) -> Coding | None:
    """How a body is coded; None where the header refuses both codings.

    Where gzip does not pay, it is taken only by a client that refuses `identity`.
    """
    if accept_encoding is None:
        return "identity"
    weights = {element.name: element.weight for element in _elements(accept_encoding)}
    others = weights.get("*")
    gzip = weights.get("gzip", weights.get("x-gzip", others or 0))
    identity = weights.get("identity", _UNNAMED if others is None else others)
    if identity > 0 and not (gzip_pays and gzip > 0 and gzip >= identity):
        return "identity"
    return "gzip" if gzip > 0 else None


def none_match(if_none_match: str, etag: str) -> bool:
    """Whether If-None-Match lets a request through: it names neither this entity tag, weak or strong, nor `*`."""
    return if_none_match.strip() != "*" and etag not in _ENTITY_TAG.findall(if_none_match)


def some_match(if_match: str, etag: str) -> bool:
    """Whether If-Match lets a request through: it names this entity tag, which a weak one is not, or `*`."""
    return if_match.strip() == "*" or etag in _WEAK_OR_STRONG.findall(if_match)


def range_holds(if_range: str | None, etag: str) -> bool:
    """Whether If-Range lets a range stand. A date or a weak tag never does: they do not name the exact bytes."""
    return if_range is None or if_range.strip() == etag


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One range as asked for: `first` is None for the last so many bytes, `last` is None for up to the end."""

    first: int | None
    last: int | None

    def within(self, total_bytes: int) -> range | None:
        """The offsets that it takes of a body; None where it takes none of them."""
        if self.first is None:
            taken = range(max(0, total_bytes - (self.last or 0)), total_bytes)
        else:
            stop = total_bytes if self.last is None else min(self.last + 1, total_bytes)
            taken = range(self.first, stop)
        return taken or None


def parse_range(header: str) -> ByteRange | None:
    """The one range of bytes that a Range header asks for; None for several, another unit or nonsense."""
    unit, _, ranges = header.partition("=")
    asked = [part.strip() for part in ranges.split(",") if part.strip()]
    if unit.strip().lower() != "bytes" or len(asked) != 1:
        return None
    found = _RANGE.fullmatch(asked[0])
    if not found or found[0].strip("- \t") == "":
        return None
    first, last = _position(found[1]), _position(found[2])
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last)


def _position(digits: str) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= len(str(MAX_BYTES)) - 1 else MAX_BYTES


def _media_weight(offer: str, ranges: Sequence[_Element]) -> float:
    """What the most specific range that fits gives an offer: `a/b;c=d` before `a/b`, then `a/*`, then `*/*`."""
    group = offer.partition("/")[0]
    order = {offer: 2, f"{group}/*": 1, "*/*": 0, "*": 0}
    fitting = [
        (order[element.name], len(element.parameters), element.weight)
        for element in ranges
        if element.name in order and _is_served(element.parameters)
    ]
    return max(fitting)[-1] if fitting else 0


def _is_served(parameters: Mapping[str, str]) -> bool:
    return all(name == "charset" and text.lower() in _CHARSETS for name, text in parameters.items())


def _elements(header: str) -> Iterator[_Element]:
    for text in _ELEMENT.findall(header):
        element = _element(text.strip(" \t"))
        if element is not None:
            yield element


def _element(text: str) -> _Element | None:
    name = _NAME.match(text)
    if name is None:
        return None
    parameters: dict[str, str] = {}
    position = name.end()
    while position < len(text):
        found = _PARAMETER.match(text, position)
        if found is None:
            return None
        position = found.end()
        key, value = (found[1] or "").lower(), (found[2] or "").strip('"')
        if key == "q":  # whatever follows the weight is an extension that nothing defines
            return _Element(name[0].lower(), parameters, float(value)) if _WEIGHT.fullmatch(value) else None
        if key:
            parameters[key] = value
    return _Element(name[0].lower(), parameters, 1.0)
