"""What happens around the methods of gRPC's own, health and reflection, which end their calls by gRPC's own means."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc

from service_kit.cancellation import code_of_cancelled
from service_kit.malformed import decoded_or_none, refuse_malformed
from service_kit.metrics import Histograms
from service_kit.rpc_handlers import wrapped, written

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    from service_kit.rpc_handlers import Answers, Context, Handler


def counted(method: str, handler: Handler, *, calls: Histograms, streams: Histograms) -> Handler:
    """The handler, whose calls are counted by how they end, and answered if they can be read at all.

    A method that takes a stream of messages refuses by itself what is none.
    """
    one, count = _around(method, calls), _around(method, streams)

    def stream(answers: Answers) -> Any:
        return count(written(answers))

    return wrapped(handler, one=one, stream=stream, exchange=stream, decode=decoded_or_none(handler))


def _around(method: str, durations: Histograms) -> Callable[[Any], Any]:
    def wrap(answer: Any) -> Any:
        async def call(request: Any, context: Context) -> Any:
            with _timed(method, context, durations):
                if request is None:
                    await refuse_malformed(context)
                return await answer(request, context)

        return call

    return wrap


@contextlib.contextmanager
def _timed(method: str, context: Context, durations: Histograms) -> Iterator[None]:
    started = time.perf_counter()
    unset = None
    try:
        yield
        unset = grpc.StatusCode.OK
    finally:
        seconds = time.perf_counter() - started
        code = context.code() or unset or code_of_cancelled(context, seconds)
        durations.observe((method[1:], code.name), seconds)
