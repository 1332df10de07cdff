import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.__main__ import MEASUREMENTS, main
from bench.errors import BenchmarkFailed
from bench.figures import Figure, Part
from bench.options import DEFAULT_MEASUREMENTS, FURTHER_MEASUREMENTS
from bench.plan import Plan


def test_every_measurement_that_can_be_named_is_there() -> None:
    assert tuple(MEASUREMENTS) == (*DEFAULT_MEASUREMENTS, *FURTHER_MEASUREMENTS)


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
    def fail(_plan: Plan) -> Iterator[Part]:
        yield Part("first", "First", [Figure("ms", [1.0])])
        raise BenchmarkFailed("10 requests were sent and GET /stats counts 9")

    status, out, err = _run(fail, [], monkeypatch, capsys)

    assert (status, err) == (1, "bench: FAILED: 10 requests were sent and GET /stats counts 9\n")
    assert out.startswith("**First**")


def test_every_part_is_told_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(plan: Plan) -> Iterator[Part]:
        yield Part("first", "First", [Figure("rounds", [plan.rounds])])
        yield Part("second", "Second", [Figure("ms", [1.0])])

    status, out, _ = _run(measure, ["--rounds", "3", "--json", f"{tmp_path}/out.json"], monkeypatch, capsys)

    written = json.loads((tmp_path / "out.json").read_text())
    assert (status, out.count("median (least-most)")) == (0, 2)
    assert (list(written["parts"]), written["plan"]["rounds"]) == (["first", "second"], 3)
    assert {"cpu", "cores", "kernel", "python", "libraries", "load_client"} < set(written["machine"])


def _run(
    measure: Callable[[Plan], Iterator[Part]],
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> tuple[int, str, str]:
    monkeypatch.setattr("bench.__main__.what_is_missing", lambda: None)
    monkeypatch.setattr("bench.machine.PROGRAM", "python3")
    monkeypatch.setitem(MEASUREMENTS, "rpc", measure)
    status = main(["rpc", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err
