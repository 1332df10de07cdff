from pathlib import Path

import pytest

from bench.__main__ import main, parse_arguments
from bench.errors import BenchmarkFailed


def test_the_defaults_are_five_pairs_of_20000_requests_at_64_connections() -> None:
    options = parse_arguments([])

    assert (options.connections, options.requests, options.pairs, options.json) == ([64], 20_000, 5, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "0"], "'0' is not a whole number from 1 to 100"),
        (["--connections", "64", "-1"], "argument"),
        (["--requests", "63", "--connections", "1", "64"], "--requests must be at least --connections"),
    ],
)
def test_arguments_out_of_bounds_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)

    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_missing_h2load_is_one_line_that_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main([]) == 2
    assert capsys.readouterr().err == (
        "bench: h2load was not found; install it, for example the Debian package nghttp2-client\n"
    )


def test_a_failed_run_says_so_and_ends_with_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_options: object) -> None:
        raise BenchmarkFailed("10 requests were sent and GET /stats counts 9")

    monkeypatch.setattr("bench.__main__.what_is_missing", lambda: None)
    monkeypatch.setattr("bench.__main__.measure", fail)

    assert main([]) == 1
    assert capsys.readouterr().err == "bench: FAILED: 10 requests were sent and GET /stats counts 9\n"
