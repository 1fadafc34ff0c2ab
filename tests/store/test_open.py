"""Opening: a new file, an old one, a newer one, a damaged one."""

# ruff: noqa: ASYNC240 - small local files, and nobody else is on the loop

from __future__ import annotations

import asyncio
import logging
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, MetaData, Table, insert, inspect

import herding
from herding.errors import ConfigError, StoreError
from herding.store import Store, database, sqlite
from herding.store.database import is_sqlite, parse_url, prepare_file, schema_engine
from herding.store.migrate import config, migrate
from herding.store.rows import request_row
from herding.store.sqlite import journal_mode
from herding.store.tables import Base
from herding.values import Attempt, CheckResult, HistoryFilter, PromptVersion, User
from tests.support.database import reserve

ROOT = Path(herding.__file__).parents[1]


def change(path: Path, statement: str) -> None:
    """Changes a closed database behind the store's back."""
    connection = sqlite.DRIVER.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


def run_script(script: str, url: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a script to its end."""
    command = [sys.executable, "-c", script, url]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    """What a query of another process finds."""
    connection = sqlite.DRIVER.connect(path)
    found = connection.execute(statement).fetchall()
    connection.close()
    return list(found)


def new_engine(url: str) -> Engine:
    """An engine for migrations of a database that is empty still."""
    parsed = parse_url(url)
    if is_sqlite(parsed):
        prepare_file(parsed)
    return schema_engine(parsed)


async def test_files_and_directory_are_private(library: ModuleType, path: Path, url: str) -> None:
    store = await Store.open(url)
    await store.add_user(User("ada", "Ada", "engineer"))
    files = {file.name.removeprefix(path.name): stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    beside = ("-wal", "-shm") if (await store.check()).journal_mode == "wal" else ("-journal",)
    assert files == dict.fromkeys(("", ".lock", *beside), 0o600)
    await store.close()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_spaces_and_letters_of_a_path_need_no_escapes(tmp_path: Path) -> None:
    path = tmp_path / "my dätä" / "a b.db"
    await (await Store.open(f"sqlite:///{path}")).close()
    assert path.exists()


async def test_migrations_make_what_the_tables_say(url: str, path: Path) -> None:
    await (await Store.open(url)).close()
    used = schema_engine(parse_url(url))
    with used.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": _is_no_search_index})
        missing = compare_metadata(context, Base.metadata)
        assert not missing, f"write a migration for these changes of the tables: {missing}"
        declared = {table: connection.exec_driver_sql(_SQL, (table,)).scalar() for table in Base.metadata.tables}
    used.dispose()
    for table in ("attempt", "score", "comment", "ledger", "prompt_label", "prompt_retired", "prompt_file"):
        assert "WITHOUT ROWID" in declared[table]
    for table in ("attempt", "score", "comment"):
        assert "ON DELETE CASCADE" in declared[table]
    assert "CHECK (stars BETWEEN 1 AND 5)" in declared["score"]


def _is_no_search_index(_object: object, name: str | None, *_: object) -> bool:
    """The virtual tables of the search, which are no tables of ours."""
    return not str(name).startswith(("search_index", "search_terms", "chunk_index", "chunk_pgvector"))


_SQL = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?"


async def test_opening_again_keeps_everything(url: str, outcome) -> None:
    store = await Store.open(url)
    await store.finish(outcome(1))
    await store.close()
    used = schema_engine(parse_url(url))
    migrate(used)
    migrate(used)
    used.dispose()
    store = await Store.open(url)
    assert (await store.history(HistoryFilter(), viewer="x", offset=0, limit=1)).total == 1
    await store.close()


async def test_a_database_of_the_first_schema_is_brought_up(url: str, outcome) -> None:
    used = new_engine(url)
    with used.begin() as connection:
        command.upgrade(config(connection), "0001")
        insert_old_row(connection, request_row(outcome(1, session_id="s")))
    used.dispose()
    store = await Store.open(url)
    assert await store.session(principal="ada", session_id="s", limit=9) == (outcome(1, session_id="s"),)
    await store.add_user(User("ada", "Ada", "engineer"))
    await store.close()
    with used.begin() as connection:
        command.downgrade(config(connection), "0001")
        assert connection.exec_driver_sql("SELECT count(*) FROM request").scalar() == 1
        assert not inspect(connection).has_table("account")
    used.dispose()


def insert_old_row(connection: Connection, row: dict[str, Any]) -> None:
    """Insert a request as the schemas before 0008 name its columns, without the columns of later ones."""
    names = {"checks_passed": "contract_ok", "check_failure": "contract_reason"}
    old = Table("request", MetaData(), autoload_with=connection)
    named = {names.get(name, name): value for name, value in row.items()}
    connection.execute(insert(old), {name: value for name, value in named.items() if name in old.c})


async def test_results_of_checks_keep_their_data_under_new_names(url: str, outcome) -> None:
    failed = outcome(1, checks=CheckResult(False, "141 words"))
    used = new_engine(url)
    with used.begin() as connection:
        command.upgrade(config(connection), "0007")
        insert_old_row(connection, request_row(failed))
    used.dispose()
    store = await Store.open(url)
    (entry,) = (await store.history(HistoryFilter(), viewer="x", offset=0, limit=1)).entries
    assert entry.outcome.checks == failed.checks
    await store.close()


async def test_versions_of_the_third_schema_are_of_files(url: str) -> None:
    used = new_engine(url)
    columns = "(key, number, sha256, content, created_at)"
    with used.begin() as connection:
        command.upgrade(config(connection), "0003")
        for row in (("greet", 1, "d", "a", 5), ("greet", 2, "e", "b", 6), ("other", 1, "d", "a", 7)):
            connection.exec_driver_sql(f"INSERT INTO prompt_version {columns} VALUES {row}")
    used.dispose()
    store = await Store.open(url)
    old = PromptVersion("greet", 2, "e", "b", "", "", "file", 6)
    assert {key: state.newest for key, state in (await store.prompt_states()).items()} == {"greet": 2, "other": 1}
    assert await store.version("greet", 2) == old
    await store.save_version("greet", "c", author="ada", message="m", source="ui", at=8, base=2)
    await store.move_label("greet", "prod", 2, author="ada", message="", at=8)
    await store.save_draft("ada", "greet", "d", base=3, at=9)
    await store.close()
    with used.begin() as connection:
        command.downgrade(config(connection), "0003")
        found = connection.exec_driver_sql("SELECT * FROM prompt_version ORDER BY key, number").all()
        assert [tuple(row) for row in found][1] == ("greet", 2, "e", "b", 6)
        assert [row[3] for row in found] == ["a", "b", "c", "a"]
        for table in ("prompt_label", "prompt_label_move", "prompt_retired", "prompt_file", "draft", "draft_step"):
            assert not inspect(connection).has_table(table)
    used.dispose()
    store = await Store.open(url)
    assert {key: state.newest for key, state in (await store.prompt_states()).items()} == {"greet": 3, "other": 1}
    assert await store.version("greet", 2) == old
    await store.close()


@pytest.mark.sqlite
async def test_a_migration_may_rebuild_a_table_without_losing_its_children(url: str, outcome) -> None:
    store = await Store.open(url)
    await store.finish(outcome(1, attempts=(Attempt(1, "n", "m", 1),)))
    await store.close()
    used = schema_engine(parse_url(url))
    with used.begin() as connection:
        operations = Operations(MigrationContext.configure(connection))
        with operations.batch_alter_table("request", recreate="always") as batch:
            batch.alter_column("policy", new_column_name="policy_name")
        assert connection.exec_driver_sql("SELECT count(*) FROM attempt").scalar() == 1
    used.dispose()


async def test_a_migration_that_dies_half_way_leaves_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(*args: object, **kwargs: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.op.create_index", dies)
        with pytest.raises(RuntimeError, match="killed"):
            await Store.open(url)
    store = await Store.open(url)
    assert (await store.check()).writable
    await store.close()


@pytest.mark.slow
def test_processes_may_open_a_new_database_at_once(url: str, environment: dict[str, str]) -> None:
    script = (
        "import asyncio, os, sys\nfrom herding.store import Store\n"
        "async def main():\n    await (await Store.open(sys.argv[1])).close()\n"
        "def child():\n    asyncio.run(main())\n    os._exit(0)\n"
        "started = [os.fork() or child() for _ in range(4)]\n"
        "print(*(os.waitpid(process, 0)[1] for process in started))"
    )
    command = [sys.executable, "-c", script, url]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["0"] * 4, ended.stderr


async def test_stores_of_one_process_may_open_at_once(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / str(number % 3)}" for number in range(6)]
    opened = (Store.open(url, beside_app=number >= 3) for number, url in enumerate(urls))
    for store in await asyncio.gather(*opened):
        await store.close()


@pytest.mark.slow
async def test_a_second_app_is_refused_and_leaves_running_requests_alone(
    url: str, path: Path, outcome, environment: dict[str, str]
) -> None:
    script = (
        "import asyncio, sys\nfrom herding.store import Store, database\ndatabase.LOCK_SECONDS = 0.2\n"
        "asyncio.run(Store.open(sys.argv[1]))"
    )
    store = await Store.open(url)
    await reserve(store, outcome(1, status="running"), limits=(), tokens=0)
    second = await asyncio.to_thread(run_script, script, url, environment)
    assert second.returncode == 1
    assert f"Another Herding process uses the database {path}" in second.stderr
    assert rows(path, "SELECT status FROM request") == [("running",)]
    await store.close()
    third = await asyncio.to_thread(run_script, script, url, environment)
    assert third.returncode == 0, third.stderr
    assert rows(path, "SELECT status FROM request") == [("interrupted",)]


async def test_an_app_that_names_the_file_by_a_link_is_refused_too(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.01)
    store = await Store.open(url)
    (path.parent / "link").symlink_to(path)
    with pytest.raises(ConfigError, match="Another Herding process"):
        await Store.open(url.replace("herding.db", "link"))
    await store.close()


async def test_an_app_waits_for_the_one_before_it_to_end(url: str) -> None:
    store = await Store.open(url)
    following = asyncio.create_task(Store.open(url))
    await asyncio.sleep(0)
    await store.close()
    await (await following).close()


async def test_a_newer_schema_is_refused(url: str, path: Path) -> None:
    await (await Store.open(url)).close()
    change(path, "UPDATE alembic_version SET version_num = '9999'")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"schema 9999.*newer version"):
        await Store.open(url)
    assert path.read_bytes() == before


async def test_a_damaged_file_is_refused_and_left_alone(url: str, path: Path, outcome) -> None:
    store = await Store.open(url)
    await asyncio.gather(*(store.finish(outcome(number, answer="long " * 200)) for number in range(200)))
    await store.close()
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 8192] = b"\xa5" * 8192
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged.*Nothing was changed.*restore a backup"):
        await Store.open(url)
    assert path.read_bytes() == content


async def test_something_else_is_refused_and_left_alone(url: str, path: Path) -> None:
    path.parent.mkdir()
    path.write_text("Dear diary, this is no database. " * 100)
    with pytest.raises(StoreError, match="backup"):
        await Store.open(url)
    assert path.read_text().startswith("Dear diary")


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://host/x", "no url", "", "postgresql+no://h/x"]
)
async def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL"):
        await Store.open(url)


async def test_a_path_that_cannot_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be created"):
        await Store.open(f"sqlite:///{tmp_path}/file/x.db")
    with pytest.raises(StoreError, match="cannot be opened"):
        await Store.open(f"sqlite:///{tmp_path}")


async def test_what_ran_when_the_app_died_is_interrupted(url: str, outcome) -> None:
    store = await Store.open(url)
    await reserve(store, outcome(1, status="running"), limits=(), tokens=0)
    await store.finish(outcome(2))
    await store.close()
    store = await Store.open(url)
    found = (await store.history(HistoryFilter(), viewer="x", offset=0, limit=9)).entries
    assert [entry.outcome.status for entry in found] == ["succeeded", "interrupted"]
    assert found[1].outcome.error
    await store.close()


@pytest.mark.sqlite
async def test_a_network_disk_is_warned_about(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("overlay / overlay rw 0 0\nserver:/x {} nfs rw 0 0\n".format(str(tmp_path).replace(" ", "\\040")))
    monkeypatch.setattr(sqlite, "_MOUNTS", mounts)
    with caplog.at_level(logging.WARNING):
        await (await Store.open(url)).close()
    assert "network file system (nfs)" in caplog.text


async def test_a_network_disk_gets_a_rollback_journal(
    library: ModuleType, url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await Store.open(url)).close()
    mounts = path.parent / "mounts"
    mounts.write_text("server:/x / nfs rw 0 0\n")
    monkeypatch.setattr(sqlite, "_MOUNTS", mounts)
    store = await Store.open(url)
    assert (await store.check()).journal_mode == "persist"
    await store.close()


def test_a_disk_without_shared_memory_gets_a_rollback_journal(library: ModuleType, tmp_path: Path) -> None:
    connection = library.connect(f"{(tmp_path / 'x.db').as_uri()}?vfs=unix-dotfile", uri=True)
    sqlite.configure_writer(connection, "wal")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("persist",)
    connection.close()


@pytest.mark.sqlite
async def test_a_database_goes_from_one_library_to_the_other_and_back(
    url: str, outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, library in enumerate([sqlite3, sqlite.newest_driver(), sqlite3, sqlite.newest_driver()], 1):
        monkeypatch.setattr(sqlite, "DRIVER", library)
        store = await Store.open(url)
        status = await store.check()
        assert status.database == f"SQLite {library.sqlite_version}"
        assert status.journal_mode == journal_mode(library.sqlite_version_info, network=False)
        await store.finish(outcome(number))
        assert (await store.history(HistoryFilter(), viewer="x", offset=0, limit=9)).total == number
        await store.close()


@pytest.mark.slow
async def test_a_process_beside_sees_and_is_seen(url: str, outcome, environment: dict[str, str]) -> None:
    script = (
        "import asyncio, sys\nfrom herding.store import Store\nfrom herding.values import User\n"
        "async def main():\n"
        "    store = await Store.open(sys.argv[1], beside_app=True)\n"
        "    print([user.id for user in await store.users()])\n"
        "    for number in range(50):\n        await store.add_user(User(f'b{number}', 'B', 'engineer'))\n"
        "    await store.close()\n"
        "asyncio.run(main())"
    )
    store = await Store.open(url)
    await store.add_user(User("ada", "Ada", "engineer"))
    beside = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, url, env=environment, stdout=asyncio.subprocess.PIPE
    )
    said = asyncio.ensure_future(beside.communicate())
    count = 0
    while not said.done():
        await store.finish(outcome(count))
        count += 1
    assert (await said)[0] == b"['ada']\n"
    assert len(await store.users()) == 51
    assert (await store.history(HistoryFilter(), viewer="x", offset=0, limit=1)).total == count
    await store.close()


async def test_the_connections_are_set_up_for_safety(library: ModuleType, store: Store) -> None:
    def settings(connection) -> list[object]:
        names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    status = await store.check()
    assert await store._writer.call(settings) == [status.journal_mode, 2, 1, 10_000, 0]
    assert (await store._reader.run(settings))[2:] == [1, 10_000, 1]
