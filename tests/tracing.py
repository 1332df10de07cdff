"""A tracer whose sampler is a constant, and the spans that it exported."""

import asyncio

from service_kit.spans import Kind, Span
from service_kit.trace_context import TraceContext
from service_kit.traces import Tracer

PATIENCE_SECONDS = 10


class Exported:
    def __init__(self, *, sampled: bool = True) -> None:
        self.spans: list[Span] = []
        self._sampled = sampled
        self._came = asyncio.Event()
        self.tracer = Tracer(sampler=self._sample, export=self._export)

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.spans]

    async def one(self, kind: Kind) -> Span:
        """The first of that kind; waits for it to end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := [span for span in self.spans if span.kind == kind]):
                self._came.clear()
                await self._came.wait()
            return found[0]

    def _export(self, span: Span) -> None:
        self.spans.append(span)
        self._came.set()

    def _sample(self, trace_id: int, parent: TraceContext | None, name: str, kind: Kind) -> bool:
        return self._sampled
