"""The HTTP face of the system: no state, no mathematics; it asks the two gRPC services."""

import os

# FastAPI loads what these variables name, of which W3C's propagators and asyncio's context alone are installed;
# any other ends the start or writes a traceback, and clusters name theirs for all pods. Here they would change nothing,
# for service_kit/trace_context.py reads and writes the context. No module of this package is loaded before this one.
for name in ("OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT"):
    os.environ.pop(name, None)
