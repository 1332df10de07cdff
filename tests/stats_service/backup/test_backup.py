"""The two commands of docs/operations.md, as an operator runs them."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.processes import ServiceProcess
from service_kit.grpc_channel import open_channel
from service_kit.pb.stats.stats_pb2_grpc import StatsStub
from stats_service.backup import main
from tests.stats_service.accounts import Clock, answers, batch, opened
from tests.stats_service.backup.copies import counted, fill, told
from tests.stats_service.messages import batch as batch_message
from tests.stats_service.messages import record, total
from tests.stats_service.sqlite_files import as_release_0_1_made_it, content, files, with_damage, write


def test_what_was_saved_is_restored_whole(account: Path, copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = fill(account)

    assert main(["save", str(account), str(copy)]) == 0
    assert capsys.readouterr() == (f"backup: {copy} written\n", "")
    assert (files(account.parent), files(copy.parent)) == ([account.name], [account.parent.name, copy.name])
    fill_more(account)
    assert main(["restore", str(copy), str(account)]) == 0

    assert capsys.readouterr() == (f"backup: {account} written\n", "")
    assert files(account.parent) == [account.name]
    assert told(account) == before


def fill_more(path: Path) -> None:
    async def record_more() -> None:
        async with opened(f"sqlite:///{path}", Clock()) as store:
            await store.record(batch(1, answers(7, 50), source="later"))

    asyncio.run(record_more())


def test_a_batch_that_the_copy_has_is_a_duplicate_after_the_restore(account: Path, copy: Path) -> None:
    fill(account)
    main(["save", str(account), str(copy)])
    main(["restore", str(copy), str(account)])

    async def repeat() -> bool:
        async with opened(f"sqlite:///{account}", Clock()) as store:
            return await store.record(batch(1, answers(1), source="many"))

    assert not asyncio.run(repeat())


def test_it_is_restored_where_there_is_no_account_nor_folder(account: Path, copy: Path, tmp_path: Path) -> None:
    before = fill(account)
    main(["save", str(account), str(copy)])
    elsewhere = tmp_path / "new" / "stats.sqlite3"

    assert main(["restore", str(copy), str(elsewhere)]) == 0

    assert told(elsewhere) == before


def test_it_is_restored_in_place_of_a_damaged_account(account: Path, copy: Path) -> None:
    before = fill(account, 2_000)
    main(["save", str(account), str(copy)])
    write(account, with_damage(content(account), 2))
    write(account.with_name(f"{account.name}-wal"), b"what a crash left behind")

    assert main(["restore", str(copy), str(account)]) == 0

    assert files(account.parent) == [account.name]
    assert told(account) == before


def test_it_is_restored_in_place_of_what_is_no_database_any_more(account: Path, copy: Path) -> None:
    before = fill(account)
    main(["save", str(account), str(copy)])
    write(account, b"no database at all" * 1_000)

    assert main(["restore", str(copy), str(account)]) == 0

    assert files(account.parent) == [account.name]
    assert told(account) == before


def test_what_was_left_beside_an_account_that_is_gone_is_not_taken_for_the_restored_ones(
    account: Path, copy: Path
) -> None:
    before = fill(account)
    main(["save", str(account), str(copy)])
    account.unlink()
    for leftover in ("-wal", "-shm"):
        write(account.with_name(f"{account.name}{leftover}"), b"what a crash left behind")

    assert main(["restore", str(copy), str(account)]) == 0

    assert files(account.parent) == [account.name]
    assert told(account) == before


def test_paths_may_be_relative(account: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = fill(account)
    monkeypatch.chdir(account.parent)

    assert main(["save", account.name, str(copy)]) == 0

    assert told(copy) == before


def test_what_a_killed_save_left_is_in_nobodys_way(account: Path, copy: Path) -> None:
    before = fill(account)
    write(copy.with_name(f"{copy.name}.new"), b"half of a copy")

    assert main(["save", str(account), str(copy)]) == 0

    assert files(copy.parent) == [account.parent.name, copy.name]
    assert told(copy) == before


def test_a_copy_of_an_older_release_is_restored_and_upgraded_at_the_start(account: Path, copy: Path) -> None:
    as_release_0_1_made_it(copy)

    assert main(["restore", str(copy), str(account)]) == 0

    assert told(account).totals.all.count == 8


async def test_an_account_is_saved_under_writes_as_it_was_at_one_moment(
    service: ServiceProcess, account: Path, copy: Path
) -> None:
    async with open_channel(f"127.0.0.1:{service.port}") as channel:
        stub = StatsStub(channel)
        saving = asyncio.create_task(asyncio.to_thread(main, ["save", str(account), str(copy)]))
        sequence = 0
        acknowledged_before = await total(stub)
        while not saving.done() or sequence < 20:
            sequence += 1
            await stub.RecordNo(batch_message(record(5), record(500), sequence=sequence))

        assert await saving == 0
        in_copy = await asyncio.to_thread(counted, copy)
        assert acknowledged_before - 100 <= in_copy <= await total(stub) == 100 + 4 * sequence
        assert in_copy % 4 == 0  # no batch is in it in part


def test_the_commands_are_those_of_the_document(account: Path, copy: Path) -> None:
    before = fill(account)
    for command in (["save", account, copy], ["restore", copy, account]):
        run = [sys.executable, "-m", "stats_service.backup", *map(str, command)]
        done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"backup: {command[2]} written\n", "")

    assert told(account) == before


def test_a_command_that_is_not_known_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["copy", "a", "b"])

    assert caught.value.code == 2
    assert "invalid choice: 'copy'" in capsys.readouterr().err
