import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from service_kit.logs import configure_logging

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def json_lines() -> Iterator[Lines]:
    """Logs as a service does, and returns what was logged."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        configure_logging(service="the_service", level="info", log_format="json")
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
