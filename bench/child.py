"""A process of the benchmark's own that does what it is told: a line of JSON in, a line of JSON out.

Clients and libraries are measured in such processes, so that what they take is not what the benchmark itself takes.
"""

import contextlib
import json
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from bench.errors import BenchmarkFailed

TIMEOUT_SECONDS = 120.0


class Child:
    """The process, seen from the benchmark's; `module` calls `serve_tasks` when it is run."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, task: str, *operands: object) -> Any:
        """What the task returns. Raises BenchmarkFailed where no answer comes."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the process was started without pipes")
        print(json.dumps([task, operands]), file=self._process.stdin, flush=True)
        readable, _, _ = select.select([self._process.stdout], [], [], TIMEOUT_SECONDS)
        line = self._process.stdout.readline() if readable else ""
        if not line:
            raise BenchmarkFailed(f"{self._module} did not finish {task}{operands}")
        return json.loads(line)


def serve_tasks(tasks: Mapping[str, Callable[..., object]]) -> None:
    """Runs inside the process, until its standard input ends. A task that raises ends it."""
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        for line in sys.stdin:
            task, operands = json.loads(line)
            print(json.dumps(tasks[task](*operands)), file=answers, flush=True)
