import datetime as dt
import json
import logging
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from service_kit.logs import RequestLog
from service_kit.request_id import current_request_id
from service_kit.settings import LogRequests
from service_kit.traces import Active
from tests.service_kit import programs
from tests.service_kit.conftest import Lines
from tests.tracing import Exported

log = structlog.get_logger()


@pytest.fixture
def request_id() -> Iterator[str]:
    token = current_request_id.set("followed-1")
    yield "followed-1"
    current_request_id.reset(token)


@pytest.mark.parametrize("policy", ["all", "sampled", "errors"])
@pytest.mark.parametrize(
    ("failed", "seconds", "dear"), [(True, 0.0, False), (False, 0.11, False), (False, 0.0, True)], ids=str
)
def test_what_failed_or_was_slow_or_dear_has_a_line_under_every_policy(
    policy: LogRequests, *, failed: bool, seconds: float, dear: bool
) -> None:
    request_log = RequestLog(policy=policy)

    ids = ("a-1", "a-2", "a-3")
    assert all(request_log.wants(request_id=one, failed=failed, seconds=seconds, dear=dear) for one in ids)


def chosen(policy: LogRequests) -> list[int]:
    """Which of 10,000 ordinary requests have a line."""
    request_log = RequestLog(policy=policy)
    return [n for n in range(10_000) if request_log.wants(request_id=f"abc-{n:x}", failed=False, seconds=0.1)]


def test_of_the_other_requests_the_policy_says_which_have_one() -> None:
    assert len(chosen("all")) == 10_000
    assert 50 <= len(chosen("sampled")) <= 150
    assert chosen("errors") == []


def test_a_sampled_request_is_sampled_in_every_service() -> None:
    assert chosen("sampled") == chosen("sampled")


def test_a_line_is_one_json_object_of_the_event_and_its_facts(json_lines: Lines, request_id: str) -> None:
    log.info("thing.done", n=10, path=Path("a/b"))

    [line] = json_lines()
    timestamp = dt.datetime.fromisoformat(line.pop("timestamp"))
    facts = {"n": 10, "path": "a/b", "request_id": request_id}
    assert line == {"event": "thing.done", "level": "info", "service": "the_service", **facts}
    assert abs(dt.datetime.now(dt.UTC) - timestamp) < dt.timedelta(minutes=1)


def test_outside_a_request_a_line_has_no_request_id(json_lines: Lines) -> None:
    log.info("thing.done")

    assert "request_id" not in json_lines()[0]


def test_a_request_id_of_the_line_itself_stays(json_lines: Lines, request_id: str) -> None:
    log.info("item.done", request_id="its-own")

    assert [line["request_id"] for line in json_lines()] == ["its-own"] != [request_id]


def test_a_line_below_the_level_is_left_out(json_lines: Lines) -> None:
    log.debug("thing.tried")
    log.warning("thing.failed")

    assert [line["event"] for line in json_lines()] == ["thing.failed"]


def test_the_warnings_of_libraries_come_in_the_same_form(json_lines: Lines, request_id: str) -> None:
    library = logging.getLogger("library")
    library.info("not worth it")
    library.warning("%s is odd", "it")

    [line] = json_lines()
    assert (line["event"], line["level"], line["service"]) == ("it is odd", "warning", "the_service")
    assert line["request_id"] == request_id


def test_an_exception_is_in_the_line_with_its_frames(json_lines: Lines) -> None:
    try:
        int("broken")
    except ValueError:
        log.exception("thing.crashed")

    [line] = json_lines()
    [exception] = line["exception"]
    assert (exception["exc_type"], exception["exc_value"]) == (
        "ValueError",
        "invalid literal for int() with base 10: 'broken'",
    )
    assert exception["frames"][-1]["name"] == "test_an_exception_is_in_the_line_with_its_frames"


CONFIGURED = """
configure_logging(service="the_service", level="info", log_format=sys.argv[1])
log.info("thing.done", n=10)
"""


def test_on_a_pipe_the_automatic_format_is_json() -> None:
    status, output, errors = programs.finished(programs.start(CONFIGURED, "auto"))

    assert (status, errors, json.loads(output)["n"]) == (0, "", 10)


def test_the_console_format_is_plain_text_without_colours_on_a_pipe() -> None:
    _, output, _ = programs.finished(programs.start(CONFIGURED, "console"))

    assert output.split()[1:] == ["info", "the_service", "thing.done", "n=10"]


def test_the_console_format_has_colours_where_they_are_forced() -> None:
    process = programs.start(CONFIGURED, "console", environment={"FORCE_COLOR": "1"})

    assert "\x1b[" in programs.finished(process)[1]


def test_a_service_whose_reader_went_away_ends_as_well_as_any() -> None:
    process = programs.start(programs.SERVICE)
    programs.line_with("service.started", process)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None

    status, _, errors = programs.finished(process, signal.SIGTERM)

    assert (status, errors) == (0, "")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_is_one_write_so_that_services_may_share_what_they_write_to(log_format: str) -> None:
    told = """
configure_logging(service="the_service", level="info", log_format=sys.argv[1])
log.info("thing.done")
logging.getLogger("library").warning("odd")
"""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # each write is one message
    with ours, theirs:
        ours.settimeout(30)
        process = programs.start(told, log_format, environment={"PYTHONUNBUFFERED": "1"}, stdout=theirs.fileno())
        assert programs.finished(process)[0] == 0
        lines = [ours.recv(10_000), ours.recv(10_000)]

    assert [line.count(b"\n") for line in lines] == [1, 1]
    assert b"thing.done" in lines[0]
    assert b"odd" in lines[1]


LOGS_INTO_NOTHING = """
configure_logging(service="the_service", level="info", log_format=sys.argv[1])
os.close(1)
for _ in range(3):
    log.info("thing.done", padding="x" * 10_000)
    logging.getLogger("library").warning("odd")
print("went on", file=sys.stderr)
os._exit(0)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_line_that_cannot_be_written_stops_nothing(log_format: str) -> None:
    assert programs.finished(programs.start(LOGS_INTO_NOTHING, log_format)) == (0, "", "went on\n")


LOGS_STRANGE_TEXT = """
configure_logging(service="the_service", level="info", log_format=sys.argv[1])
log.info("thing.done", path="/\\u20ac")
logging.getLogger("library").warning("\\udcff")
"""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_text_that_standard_output_cannot_show_is_written_as_escapes(log_format: str, encoding: str) -> None:
    process = programs.start(LOGS_STRANGE_TEXT, log_format, environment={"PYTHONIOENCODING": encoding})

    status, output, errors = programs.finished(process)

    assert (status, errors, len(output.splitlines())) == (0, "", 2)
    assert ("\u20ac" if encoding == "utf-8" else r"\u20ac") in output.splitlines()[0]
    assert r"\udcff" in output.splitlines()[1]


@pytest.mark.parametrize("log_format", ["auto", "json", "console"])
def test_a_service_starts_without_any_standard_output(log_format: str) -> None:
    told = """
configure_logging(service="the_service", level="info", log_format=sys.argv[1])
log.info("thing.done")
print("went on", file=sys.stderr)
"""
    process = programs.start(told, log_format, through=programs.WITHOUT_STDOUT)

    assert programs.finished(process) == (0, "", "went on\n")


def test_a_line_names_the_span_that_it_was_written_in(json_lines: Lines) -> None:
    with Active(Exported().tracer.begin("root")) as span:
        log.info("inside")
        logging.getLogger("a.library").warning("too")
    log.info("outside")

    inside, too, outside = json_lines()
    assert (inside["trace_id"], inside["span_id"]) == (
        f"{span.context.trace_id:032x}",
        f"{span.context.span_id:016x}",
    )
    assert (too["trace_id"], too["span_id"]) == (inside["trace_id"], inside["span_id"])
    assert outside.keys().isdisjoint({"trace_id", "span_id"})
