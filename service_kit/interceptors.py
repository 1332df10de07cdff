"""What happens around every RPC that a service answers: request id, errors, one log line."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from grpc_status.rpc_status import to_status

from service_kit.admission import Admission, Overloaded
from service_kit.cancellation import code_of_cancelled
from service_kit.drain import Drain
from service_kit.errors import ServiceError
from service_kit.grpcs_own import counted
from service_kit.logs import MAX_LOGGED_NAMES, RequestLog
from service_kit.malformed import MessageMalformed, decoded, decoded_or_none
from service_kit.metrics import Histograms
from service_kit.request_id import METADATA_KEY, accept_request_id, current_request_id
from service_kit.rpc_handlers import wrapped
from service_kit.rpc_status import StatusTable, code_of, status_of

log = structlog.get_logger()

if TYPE_CHECKING:  # gRPC's types take parameters in their stubs only
    from service_kit.rpc_handlers import Answer, Answers, Context, Handler

#: Success, what is the caller's own doing, and what is refused in an overload, of which `overload.refused` tells.
_NO_FAILURE = frozenset(
    {
        grpc.StatusCode.OK,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)

#: A stream may be as short as a call, and lasts for as long as its client likes.
STREAM_BOUNDS_SECONDS = (0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0)

#: Where gRPC keeps the names in the certificate of a client.
_CERTIFICATE_NAMES = "x509_subject_alternative_name"

_facts: ContextVar[dict[str, Any] | None] = ContextVar("rpc_facts", default=None)


def note(**facts: Any) -> None:
    """Adds facts to the log line of the RPC that is being answered."""
    noted = _facts.get()
    if noted is not None:
        noted.update(facts)


def noted() -> dict[str, Any]:
    """The facts noted of the RPC that is being answered."""
    return _facts.get() or {}


class ClientNotAdmitted(ServiceError):
    """The client's certificate is good, and carries none of the names that the service admits."""

    reason = "CLIENT_NOT_ADMITTED"

    def __init__(self) -> None:
        super().__init__("the client's certificate carries none of the names that are admitted here")


#: What the chassis itself refuses.
OWN_ERRORS: StatusTable = {
    MessageMalformed: grpc.StatusCode.INVALID_ARGUMENT,
    ClientNotAdmitted: grpc.StatusCode.PERMISSION_DENIED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
}


class ServerInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of the service's own; health and reflection are counted, and pass if they can be read at all.

    Each call takes a place of `admission`, but for those that take one message after another: they may be idle for
    long, and where their messages are answered each takes its own. With `admitted_names` a client has to have shown a
    certificate that carries one of them.
    """

    def __init__(
        self,
        *,
        status_table: StatusTable,
        request_log: RequestLog,
        admission: Admission,
        admitted_names: frozenset[str] = frozenset(),
    ) -> None:
        self._status_table: StatusTable = {**OWN_ERRORS, **status_table}
        self._request_log = request_log
        self._admission = admission
        self._admitted_names = admitted_names
        self._drain = Drain()
        #: By method and status code.
        self.call_durations = Histograms()
        self.stream_durations = Histograms(STREAM_BOUNDS_SECONDS)

    def end_exchanges(self) -> None:
        """Ends the calls that take one request after another, once they have answered those that they read."""
        self._drain.begin()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if method.startswith("/grpc."):
            return counted(method, handler, calls=self.call_durations, streams=self.stream_durations)
        return wrapped(
            handler,
            one=partial(self._wrap, method),
            stream=partial(self._wrap_stream, method),
            exchange=partial(self._wrap_exchange, method),
            decode=decoded_or_none(handler),
        )

    def _wrap(self, method: str, answer: Answer) -> Answer:
        async def call(request: Any, context: Context) -> Any:
            with self._around(method, context, self.call_durations):
                self._admit(context)
                message = decoded(request)
                with self._admission.place_now() or await self._admission.place_in_turn():
                    return await answer(message, context)

        return call

    def _wrap_stream(self, method: str, answers: Answers) -> Answers:
        async def call(request: Any, context: Context) -> AsyncGenerator[Any, None]:
            with self._around(method, context, self.stream_durations):
                self._admit(context)
                with self._admission.lasting():
                    async with contextlib.aclosing(answers(decoded(request), context)) as stream:
                        async for response in stream:
                            yield response

        return call

    def _wrap_exchange(self, method: str, answers: Answers) -> Answers:
        async def call(_requests: Any, context: Context) -> AsyncGenerator[Any, None]:
            with self._around(method, context, self.stream_durations, lasting=True):
                self._admit(context)
                async with (
                    contextlib.aclosing(self._requests(context)) as requests,
                    contextlib.aclosing(answers(requests, context)) as stream,
                ):
                    async for response in stream:
                        yield response

        return call

    async def _requests(self, context: Context) -> AsyncGenerator[Any, None]:
        while (request := await self._drain.read(context)) is not grpc.aio.EOF:
            yield decoded(request)

    @contextlib.contextmanager
    def _around(self, method: str, context: Context, durations: Histograms, *, lasting: bool = False) -> Iterator[None]:
        """What is the same for every kind of call. Of an unexpected error the client gets a status and no text.

        A lasting one is never slow: its client keeps it open.
        """
        current_request_id.set(_offered_request_id(context))
        facts: dict[str, Any] = {}
        _facts.set(facts)
        started = time.perf_counter()
        code = None
        try:
            yield
            code = grpc.StatusCode.OK
        except Exception as error:  # noqa: BLE001 - whatever it is, it ends here
            code = self._fail(error, context)
        finally:
            seconds = time.perf_counter() - started
            if code is None:
                code = code_of_cancelled(context, seconds)
                context.set_code(code)  # for the span around this
            durations.observe((method[1:], code.name), seconds)
            self._log(method, code, seconds, facts, lasting=lasting)

    def _admit(self, context: Context) -> None:
        if not self._admitted_names:
            return
        shown = {name.decode("utf-8", "replace") for name in context.auth_context().get(_CERTIFICATE_NAMES, ())}
        if self._admitted_names.isdisjoint(shown):
            note(client_names=sorted(shown)[:MAX_LOGGED_NAMES])
            raise ClientNotAdmitted

    def _fail(self, error: Exception, context: Context) -> grpc.StatusCode:
        status = status_of(error, self._status_table)
        code = code_of(status.code)
        note(error=status.message)
        if code is grpc.StatusCode.INTERNAL:
            log.error("rpc.crashed", exc_info=error)
        rich = to_status(status)
        context.set_code(code)
        context.set_details(rich.details)
        context.set_trailing_metadata(rich.trailing_metadata)
        return code

    def _log(self, method: str, code: grpc.StatusCode, seconds: float, facts: dict[str, Any], *, lasting: bool) -> None:
        if self._request_log.wants(
            request_id=current_request_id.get(),
            failed=code not in _NO_FAILURE,
            seconds=0 if lasting else seconds,
            dear=facts.pop("dear", False) or "fault" in facts,
        ):
            log.info("rpc.served", method=method, code=code.name, duration_ms=round(seconds * 1000, 3), **facts)


def _offered_request_id(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == METADATA_KEY:
            return accept_request_id(value if isinstance(value, str) else "")
    return accept_request_id("")
