"""A tracer whose sampler is a constant, and the spans that it exported."""

from service_kit.spans import Kind, Span
from service_kit.trace_context import TraceContext
from service_kit.traces import Tracer


class Exported:
    def __init__(self, *, sampled: bool = True) -> None:
        self.spans: list[Span] = []
        self._sampled = sampled
        self.tracer = Tracer(sampler=self._sample, export=self.spans.append)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    def _sample(self, trace_id: int, parent: TraceContext | None, name: str, kind: Kind) -> bool:
        return self._sampled
