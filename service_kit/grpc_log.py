"""What gRPC's server logs by itself, where it is a client's doing: one line, and no traceback of gRPC's."""

import logging

import structlog

log = structlog.get_logger()

_LOGGER = "grpc._cython.cygrpc"
#: The error's name, and how its text begins where what was to be sent could not be; a call that was made wrongly is
#: told in other words, and stays an error.
_ERROR, _UNSENT = "ExecuteBatchError", 'Failed "execute_batch"'


def tell_refused_answers() -> None:
    """For this process, however often it is called."""
    logging.getLogger(_LOGGER).addFilter(_is_the_servers)


def _is_the_servers(record: logging.LogRecord) -> bool:
    """Whether a record is logged as it is; logs another one in place of the others.

    A client that refuses an answer for its size, or goes away while it is sent, is often seen there before gRPC has
    noticed that the call is over.
    """
    error = record.exc_info[1] if record.exc_info else None
    if type(error).__name__ != _ERROR or not str(error).startswith(_UNSENT):
        return True
    log.info("answer.refused", method=record.getMessage().rpartition("[/")[2].rstrip("]"))
    return False
