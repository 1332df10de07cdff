"""Which trace a call belongs to, as W3C Trace Context writes it in a header or in gRPC metadata."""

import re
from collections.abc import Iterable
from typing import NamedTuple

PARENT, STATE = "traceparent", "tracestate"
#: What the standard asks everybody to pass on at least; what is longer is left out.
MAX_STATE_LENGTH = 512

# A later version may have more after its flags; of this one nothing may follow.
_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
# What gRPC takes as metadata, which is less by the tab than what HTTP takes as a header.
_STATE = re.compile(rf"[\x20-\x7e]{{1,{MAX_STATE_LENGTH}}}")
_SAMPLED = 1


class TraceContext(NamedTuple):
    """One span as others name it. `state` is what tracing systems on the way have added, and is passed on as it is."""

    trace_id: int
    span_id: int
    sampled: bool
    state: str = ""

    @property
    def parent(self) -> str:
        """The value of traceparent for whoever is called."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{int(self.sampled):02x}"

    def fields(self) -> tuple[tuple[str, str], ...]:
        """What goes into the metadata of a call."""
        return ((PARENT, self.parent), (STATE, self.state)) if self.state else ((PARENT, self.parent),)


def parse_context(parent: str, state: str = "") -> TraceContext | None:
    """None for what is no traceparent: the standard says to go on then as if there were none."""
    found = _PARENT.fullmatch(parent)
    if found is None or (found[1] == "00" and found[5]):
        return None
    sampled = bool(int(found[4], 16) & _SAMPLED)
    return TraceContext(int(found[2], 16), int(found[3], 16), sampled, state if _STATE.fullmatch(state) else "")


def context_of(fields: Iterable[tuple[str, str | bytes]]) -> TraceContext | None:
    """The context in the headers of a request or the metadata of a call; none where there are two parents."""
    found = [(name, value) for name, value in fields if name in {PARENT, STATE} and isinstance(value, str)]
    parents = [value for name, value in found if name == PARENT]
    if len(parents) != 1:
        return None
    return parse_context(parents[0], ",".join(value for name, value in found if name == STATE))
