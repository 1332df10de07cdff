"""What is not copied, and what is not written over."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from deploy.local.processes import ServiceProcess
from stats_service.backup import main
from tests.stats_service.backup.copies import Refused, fill, told
from tests.stats_service.sqlite_files import content, files, with_damage, write


def test_an_account_in_use_is_not_replaced(
    service: ServiceProcess, account: Path, copy: Path, refused: Refused
) -> None:
    assert main(["save", str(account), str(copy)]) == 0
    refused._capsys.readouterr()

    assert "is in use; stop stats_service first" in refused.line("restore", copy, account)

    assert service.stop() == 0
    assert told(account).totals.all.count == 100
    assert main(["restore", str(copy), str(account)]) == 0


def test_a_copy_that_exists_is_not_written_over(account: Path, copy: Path, refused: Refused) -> None:
    fill(account)
    write(copy, b"dear to someone")

    assert "exists already" in refused.line("save", account, copy)

    assert content(copy) == b"dear to someone"


def test_of_two_who_save_to_one_name_at_once_the_second_is_refused(account: Path, copy: Path, refused: Refused) -> None:
    before = fill(account)
    with closing(sqlite3.connect(account)) as holder, ThreadPoolExecutor(1) as others:
        holder.execute("PRAGMA journal_mode = DELETE")  # in which readers wait for the writer
        holder.execute("BEGIN EXCLUSIVE")
        first = others.submit(main, ["save", str(account), str(copy)])
        while not (copy.exists() or first.done()):
            time.sleep(0.001)

        assert "exists already" in refused.line("save", account, copy)
        holder.rollback()

        assert first.result() == 0
    assert told(copy) == before


def test_a_damaged_copy_is_not_restored(account: Path, copy: Path, refused: Refused) -> None:
    before = fill(account, 2_000)
    main(["save", str(account), str(copy)])
    refused._capsys.readouterr()
    write(copy, with_damage(content(copy), 2))

    refused.line("restore", copy, account)

    assert files(account.parent) == [account.name]
    assert told(account) == before


@pytest.mark.parametrize("copied", [b"", b"no database at all" * 1_000])
def test_what_is_no_account_is_not_restored(account: Path, copy: Path, refused: Refused, copied: bytes) -> None:
    before = fill(account)
    write(copy, copied)

    refused.line("restore", copy, account)

    assert files(account.parent) == [account.name]
    assert told(account) == before


@pytest.mark.parametrize("command", ["save", "restore"])
def test_the_database_of_another_application_is_not_copied(
    account: Path, copy: Path, refused: Refused, command: str
) -> None:
    theirs, target = (account, copy) if command == "save" else (copy, account)
    theirs.parent.mkdir(exist_ok=True)
    with closing(sqlite3.connect(theirs)) as connection, connection:
        connection.execute("CREATE TABLE theirs (x)")

    assert "another application" in refused.line(command, theirs, target)

    assert not target.exists()
    assert not target.with_name(f"{target.name}.new").exists()


@pytest.mark.parametrize("command", ["save", "restore"])
def test_a_file_that_is_not_there_is_not_made(account: Path, copy: Path, refused: Refused, command: str) -> None:
    assert "is no file" in refused.line(command, account, copy)

    assert not account.exists()
    assert not copy.exists()


def test_a_folder_is_no_account(tmp_path: Path, copy: Path, refused: Refused) -> None:
    assert "is no file" in refused.line("save", tmp_path, copy)


def test_a_folder_that_is_not_there_is_told(account: Path, tmp_path: Path, refused: Refused) -> None:
    fill(account)

    refused.line("save", account, tmp_path / "nowhere" / "copy.sqlite3")
