"""On a real process, whose module is this one."""

from pathlib import Path

import pytest

from bench.child import Child, serve_tasks
from bench.errors import BenchmarkFailed

MODULE = "tests.bench.test_child"


def test_a_task_answers_what_it_returns_and_what_it_prints_is_no_answer() -> None:
    with Child(MODULE) as child:
        assert child.ask("doubled", [1, "a"]) == [1, "a", 1, "a"]
        assert child.ask("doubled", []) == []


def test_a_task_that_raises_fails_the_run() -> None:
    with Child(MODULE) as child, pytest.raises(BenchmarkFailed, match=r"test_child did not finish doubled\(7,\)"):
        child.ask("doubled", 7)


def test_a_task_that_hangs_fails_the_run_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    with Child(MODULE) as child:
        pid = child.ask("pid")
        monkeypatch.setattr("bench.child.TIMEOUT_SECONDS", 0.1)
        with pytest.raises(BenchmarkFailed, match="did not finish hang"):
            child.ask("hang")
    assert not Path(f"/proc/{pid}").exists()


def doubled(items: list[object]) -> list[object]:
    print(items)  # noqa: T201
    return items * 2 if isinstance(items, list) else items / 0


if __name__ == "__main__":
    import os
    import threading

    serve_tasks({"doubled": doubled, "pid": os.getpid, "hang": threading.Event().wait})
