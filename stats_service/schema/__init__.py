"""The versions of the tables, and how a database comes to the newest one: by alembic, at every start, by itself."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, inspect, text

from stats_service import tables

#: Every version there was, the newest last. SQLite's user_version has the newest as a number.
REVISIONS = ("0001", "0002")
HEAD = REVISIONS[-1]

_VERSION_TABLE = "alembic_version"


class SchemaForeign(Exception):
    """The tables are not ours, or of a newer release; the text says which."""


def upgrade(connection: Connection, *, without_version: str | None) -> None:
    """Brings the tables to the newest version, inside the transaction of the connection.

    `without_version` is the version of tables that do not say theirs; None where such tables are another's.
    Raises SchemaForeign, and then has changed nothing.
    """
    current = _current(connection, without_version)
    if current not in (None, *REVISIONS):
        raise SchemaForeign(f"its schema is version {current}; this release knows up to {HEAD}")
    if current == HEAD:
        _require_tables(connection)
        return
    # Alembic takes 40 ms to import, and most starts need none of it.
    from alembic import command  # noqa: PLC0415

    config = alembic_config(connection)
    if without_version is not None and current == without_version:
        command.stamp(config, without_version)
    command.upgrade(config, HEAD)


def alembic_config(connection: Connection) -> Any:
    """What alembic's commands are given to work on this connection."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    return config


def _require_tables(connection: Connection) -> None:
    """Another application's alembic may have come to a version of the same name."""
    missing = tables.metadata.tables.keys() - set(inspect(connection).get_table_names())
    if missing:
        raise SchemaForeign(f"it says that it is version {HEAD} of this schema, and has no table {min(missing)}")


def _current(connection: Connection, without_version: str | None) -> str | None:
    """The version of the tables; None of an empty database."""
    names = inspect(connection).get_table_names()
    if _VERSION_TABLE in names:
        version = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608
        return str(version)
    if not names:
        return None
    if without_version is None:
        raise SchemaForeign("it has tables of another application")
    return without_version
