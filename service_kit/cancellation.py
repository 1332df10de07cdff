"""Why a call was cancelled, of which gRPC tells a server only that it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    from service_kit.rpc_handlers import Context

#: A caller sends its time with two or three digits, rounded up: its own end comes so much of it before the server's,
ROUNDED_UP = 0.01
#: and so many seconds, for it may cancel by a clock of its own that began before the call did.
EARLY_SECONDS = 0.01


def code_of_cancelled(context: Context, lasted_seconds: float) -> grpc.StatusCode:
    """DEADLINE_EXCEEDED where the caller's time was up; else CANCELLED, for the caller left."""
    remaining = context.time_remaining()
    if remaining is not None and remaining <= EARLY_SECONDS + ROUNDED_UP * (lasted_seconds + remaining):
        return grpc.StatusCode.DEADLINE_EXCEEDED
    return grpc.StatusCode.CANCELLED
