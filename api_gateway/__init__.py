"""The HTTP face of the system: no state, no mathematics; it asks the two gRPC services."""

import os

# FastAPI loads the propagators that OpenTelemetry's variable names, of which W3C's alone are installed, and any other
# ends the start; clusters name theirs for all pods. Here they would change nothing, for service_kit/trace_context.py
# reads and writes the context. No module of this package is loaded before this one.
os.environ.pop("OTEL_PROPAGATORS", None)
