"""Copies the account out of its SQLite file while stats_service uses it, and puts a copy back.

`python -m stats_service.backup save data/stats.sqlite3 copy.sqlite3` needs no pause: the copy is of one moment.
`python -m stats_service.backup restore copy.sqlite3 data/stats.sqlite3` needs stats_service stopped. What was
acknowledged after the copy was made is not in it. For PostgreSQL use pg_dump and pg_restore.
"""

import argparse
import contextlib
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from stats_service.schema import SchemaForeign
from stats_service.store_sqlite import check, is_empty


class CannotCopy(Exception):
    """Why nothing was copied; the text is one line for the operator."""


def save(account: Path, copy: Path) -> None:
    """Writes a compact copy of one moment to a new file. Raises CannotCopy, OSError, sqlite3.Error or SchemaForeign."""
    _require_file(account)
    with _made_here(copy), _sound_copy(account, beside=copy) as new:
        new.replace(copy)


def restore(copy: Path, account: Path) -> None:
    """Replaces the account, once the copy is known to be sound. Raises what `save` raises."""
    _require_file(copy)
    _require_unused(account)
    account.parent.mkdir(parents=True, exist_ok=True)
    with _sound_copy(copy, beside=account) as new:
        for leftover in (f"{account.name}-wal", f"{account.name}-shm"):
            account.with_name(leftover).unlink(missing_ok=True)
        new.replace(account)


@contextlib.contextmanager
def _made_here(copy: Path) -> Iterator[None]:
    """The name is taken at once, so that of two who save to it one is refused; free again where nothing came of it."""
    try:
        copy.touch(exist_ok=False)
    except FileExistsError:
        raise CannotCopy(f"{copy} exists already") from None
    try:
        yield
    except BaseException:
        copy.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _sound_copy(source: Path, *, beside: Path) -> Iterator[Path]:
    """A copy in the folder of a file that it may then replace, on the disk and checked; gone where it did not."""
    new = beside.with_name(f"{beside.name}.new")
    new.unlink(missing_ok=True)
    try:
        # It only reads, but who opens a file for no more leaves others beside it, which the service may not open.
        with contextlib.closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as connection:
            if is_empty(connection):
                raise CannotCopy(f"{source} is empty")
            connection.execute("VACUUM INTO ?", (str(new),))
        check(new)
        _sync(new)
        yield new
        _sync(beside.parent)
    finally:
        new.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """What was written of a file, or the names in a folder, are on the disk afterwards."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise CannotCopy(f"{path} is no file")


def _require_unused(account: Path) -> None:
    """A process that has the file open would go on writing to the one that was replaced."""
    if not account.exists():
        return
    with contextlib.closing(sqlite3.connect(account, timeout=0)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = DELETE")  # which only the last one that has it open may do
        except sqlite3.OperationalError:
            raise CannotCopy(f"{account} is in use; stop stats_service first") from None
        except sqlite3.DatabaseError:
            return  # what is damaged is what a copy is for


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m stats_service.backup", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, source, target in (("save", "account", "copy"), ("restore", "copy", "account")):
        command = commands.add_parser(name)
        command.add_argument("source", type=Path, metavar=source.upper())
        command.add_argument("target", type=Path, metavar=target.upper())
    options = parser.parse_args(arguments)
    try:
        (save if options.command == "save" else restore)(options.source, options.target)
    except (CannotCopy, OSError, sqlite3.Error, SchemaForeign) as error:
        print(f"backup: {options.command} {options.source}: {error}", file=sys.stderr)
        return 1
    print(f"backup: {options.target} written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
