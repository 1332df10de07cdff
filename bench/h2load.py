"""The load client: an exact number of HTTP/1.1 requests over a fixed number of connections, each one timed."""

import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.errors import BenchmarkFailed
from bench.figures import Load, percentile

PROGRAM = "h2load"
DEBIAN_PACKAGE = "nghttp2-client"
#: For one run of the client.
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Response:
    """One row of h2load's log. The status is -1 where no response came."""

    started_us: int
    status: int
    duration_us: int

    @property
    def ended_us(self) -> int:
        return self.started_us + self.duration_us


def send_load(urls: Sequence[str], *, requests: int, connections: int, folder: Path) -> Load:
    """Sends the requests from one thread and times them; each connection goes round the URLs from the first.

    Raises BenchmarkFailed unless each got a response of 2xx in time.
    """
    log_file = folder / "h2load.log"
    log_file.unlink(missing_ok=True)
    sizes = ["-n", str(requests), "-c", str(connections), "-t", "1"]
    command = [PROGRAM, "--h1", *sizes, f"--log-file={log_file}", *urls]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"{requests} requests were not answered within {TIMEOUT_SECONDS:g} s") from None
    if done.returncode != 0 or not log_file.exists():
        raise BenchmarkFailed(f"h2load ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    responses = parse_log(log_file.read_text())
    check_responses(responses, requests=requests)
    return summarize(responses)


def requests_of_each(places: Sequence[int], *, requests: int, connections: int) -> Counter[int]:
    """How often each of the places is asked for, as h2load divides them.

    A connection gets an equal share of the requests, one of the first ones a request more, and goes round.
    """
    share, more = divmod(requests, connections)
    counts: Counter[int] = Counter()
    for own, how_many in ((share + 1, more), (share, connections - more)):
        rounds, rest = divmod(own, len(places))
        for number, place in enumerate(places):
            counts[place] += (rounds + (number < rest)) * how_many
    return +counts


def parse_log(text: str) -> list[Response]:
    """The rows of a log: microseconds since the epoch, status, microseconds until the response ended."""
    return [Response(*map(int, line.split("\t")[:3])) for line in text.splitlines()]


def check_responses(responses: Sequence[Response], *, requests: int) -> None:
    if len(responses) != requests:
        raise BenchmarkFailed(f"{requests} requests were sent and {len(responses)} answered")
    refused = _refused(responses)
    if refused:
        counts = ", ".join(f"{count} of status {status}" for status, count in sorted(refused.items()))
        raise BenchmarkFailed(f"of {requests} responses these were not 2xx: {counts}")


def summarize(responses: Sequence[Response]) -> Load:
    """Requests a second from the first request's start to the last response's end, without the connecting."""
    first = min(response.started_us for response in responses)
    last = max(response.ended_us for response in responses)
    durations_ms = [response.duration_us / 1000 for response in responses]
    return Load(
        requests_per_second=round(len(responses) * 1_000_000 / max(1, last - first), 1),
        p50_ms=percentile(durations_ms, 0.50),
        p99_ms=percentile(durations_ms, 0.99),
    )


def _refused(responses: Iterable[Response]) -> Counter[int]:
    return Counter(response.status for response in responses if not 200 <= response.status < 300)  # noqa: PLR2004
