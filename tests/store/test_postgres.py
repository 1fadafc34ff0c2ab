"""The store on PostgreSQL: what only a server can do to it, and what it must not do differently."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from herding.errors import ConfigError, StoreError
from herding.store import Store, search
from herding.store.database import parse_url, schema_engine
from herding.store.tables import Base
from herding.values import HistoryFilter, Limit, User
from tests.store.test_kill import assert_acknowledged, run_nursery
from tests.support import postgres
from tests.support.database import reserve
from tests.support.postgres import Server

pytestmark = pytest.mark.postgres


async def total(store: Store) -> int:
    return (await store.history(HistoryFilter(), viewer="ada", offset=0, limit=1)).total


@pytest.fixture
def own_server(postgres_server: Server) -> Iterator[Server]:
    """A server that the test may stop, and which few may use at once."""
    with postgres.server(max_connections="12", superuser_reserved_connections="3") as made:
        assert made
        yield made


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgres://ada:p%40ss@db:5433/x", "ada:***@db:5433"),
        ("postgresql://ada@db/x", "ada@db"),
        ("postgresql+psycopg://ada@db/x", "ada@db"),
        ("postgres://db/x?sslmode=require", "db"),
        ("postgresql+psycopg2://db/x", "db"),
        ("postgresql+asyncpg://db/x", "db"),
    ],
)
def test_all_common_forms_of_a_url_mean_the_same_driver(url: str, name: str) -> None:
    found = parse_url(url)
    assert found.drivername == "postgresql+psycopg"
    assert str(found).partition("://")[2].partition("/")[0] == name
    assert found.database == "x"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
async def test_each_form_opens(scheme: str, postgres_url: str) -> None:
    store = await Store.open(postgres_url.replace("postgresql", scheme, 1))
    status = await store.check()
    assert (status.writable, status.journal_mode) == (True, None)
    assert status.database.startswith("PostgreSQL 1")
    await store.close()


async def test_migrations_make_what_the_tables_say(postgres_server: Server) -> None:
    url = postgres_server.create(migrated=False)
    await (await Store.open(url)).close()
    used = schema_engine(parse_url(url))
    with used.connect() as connection:
        derived = (
            "ix_search_text_trigrams",
            "ix_chunk_lexemes",
            "lexemes",
            "chunk_pgvector",
            "ix_chunk_pgvector_collection_id",
        )
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, *_: name not in derived,
                "include_object": lambda _o, name, *_: name not in derived,
            },
        )
        assert compare_metadata(context, Base.metadata) == []
        for table in Base.metadata.tables:
            for column in inspect(connection).get_columns(table):
                collation = getattr(column["type"], "collation", "C")
                assert collation == "C", f"{table}.{column['name']} is not compared by the codes of its characters"
    used.dispose()
    postgres_server.drop(url)


async def test_texts_are_in_the_order_of_their_characters(postgres_url: str) -> None:
    """The server of the tests sorts like people where it is not told otherwise."""
    store = await Store.open(postgres_url)
    for name in ("b", "a", "B", "a-b", "aa", "ä", "_"):
        await store.add_user(User(name, name, "user"))
    assert [user.id for user in await store.users()] == sorted(["b", "a", "B", "a-b", "aa", "ä", "_"])
    await store.close()


async def test_a_server_that_restarts_is_found_again(own_server: Server, outcome) -> None:
    store = await Store.open(own_server.create())
    await store.finish(outcome(1))
    own_server.stop()
    with pytest.raises(StoreError, match="cannot be reached"):
        await store.finish(outcome(2))
    with pytest.raises(StoreError, match="cannot be reached"):
        await total(store)
    status = await store.check()
    assert not status.writable
    assert "cannot be reached" in str(status.problem)
    own_server.start()
    await store.finish(outcome(2))
    assert await total(store) == 2
    await store.close()


async def test_connections_that_were_cut_are_replaced(own_server: Server, outcome) -> None:
    store = await Store.open(own_server.create())
    await store.finish(outcome(1))
    await asyncio.gather(*(total(store) for _ in range(8)))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'herding'"
    own_server.sql(cut)
    await store.finish(outcome(2))
    own_server.sql(cut)
    assert await asyncio.gather(*(total(store) for _ in range(8))) == [2] * 8
    await store.close()


async def test_a_server_without_a_free_connection_says_so_and_is_used_again(own_server: Server, outcome) -> None:
    url = own_server.create()
    stores = [await Store.open(url) for _ in range(2)]
    held = [postgres.psycopg.connect(url) for _ in range(5)]
    reads = [total(store) for store in stores for _ in range(8)]
    found = await asyncio.gather(*reads, return_exceptions=True)
    errors = [one for one in found if isinstance(one, BaseException)]
    assert all(isinstance(one, StoreError) and "connections" in one.message for one in errors)
    for connection in held:
        connection.close()
    await stores[0].finish(outcome(1))
    assert await total(stores[1]) == 1
    for store in stores:
        await store.close()


async def test_a_statement_that_takes_too_long_is_ended_by_name(postgres_url: str, outcome) -> None:
    store = await Store.open(f"{postgres_url}&options=-c%20statement_timeout%3D200")
    with pytest.raises(StoreError, match="took too long"):
        await store._reader.run(lambda c: c.exec_driver_sql("SELECT pg_sleep(20)").all())
    await store.finish(outcome(1))
    assert await total(store) == 1
    await store.close()


async def test_a_row_that_fails_leaves_the_others_of_its_batch(postgres_url: str, outcome) -> None:
    store = await Store.open(postgres_url)
    store._writer.call(lambda c: c.exec_driver_sql("SELECT pg_sleep(0.2)").all())  # the others become one batch

    def wrong(connection: object) -> None:
        connection.exec_driver_sql("SELECT 1 / 0")  # type: ignore[attr-defined]

    writes = [store.finish(outcome(1)), store._writer.call(wrong), store.finish(outcome(2))]
    ends = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(end) for end in ends] == [type(None), StoreError, type(None)]
    assert await total(store) == 2
    await store.close()


async def test_two_processes_agree_on_a_limit(postgres_url: str, outcome) -> None:
    """Two stores on one database are as two processes; 10 of 40 are admitted, and no request is counted twice."""
    stores = [await Store.open(postgres_url), await Store.open(postgres_url, beside_app=True)]
    limit = Limit("request", 1, 10)
    tries = [
        reserve(stores[number % 2], outcome(number, status="running"), limits=[limit], tokens=5) for number in range(40)
    ]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(end) for end in ends].count(type(None)) == 10
    (use,) = await stores[1].usage("ada", [limit])
    assert use.used == 10
    for store in stores:
        await store.close()


async def test_two_processes_index_each_request_once(postgres_url: str, outcome) -> None:
    stores = [await Store.open(postgres_url), await Store.open(postgres_url, beside_app=True)]
    await asyncio.gather(*(stores[number % 2].finish(outcome(number, answer="needle")) for number in range(250)))
    assert sum(await asyncio.gather(*(store.index() for store in stores))) == 250
    page = await stores[0].history(HistoryFilter(text="NEEDLE"), viewer="ada", offset=0, limit=9)
    assert page.total == 250
    for store in stores:
        await store.close()


async def test_a_frequent_text_is_found_without_the_index_which_gives_all_at_once(
    postgres_url: str, outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WALK": 10, "FEW": 3, "FREQUENT": 5}.items():
        monkeypatch.setattr(search, name, value)
    monkeypatch.setattr("herding.store.history.COUNTED", 1)
    monkeypatch.setattr(search, "_documents_by_key", None)
    store = await Store.open(postgres_url)
    for number in range(60):
        await store.finish(outcome(number, answer="frequent" if number % 4 == 0 else "other"))
    await store.index()
    page = await store.history(HistoryFilter(text="FREQUENT"), viewer="ada", offset=5, limit=3)
    assert [int(entry.outcome.request_id, 16) for entry in page.entries] == [36, 32, 28]
    assert page.more
    with pytest.raises(TypeError):  # a rare one needs it
        await store.history(HistoryFilter(text="rare"), viewer="ada", offset=0, limit=3)
    await store.close()


async def test_plans_are_made_for_the_values_of_each_read(postgres_url: str) -> None:
    store = await Store.open(postgres_url)
    for name, value in {"plan_cache_mode": "force_custom_plan", "jit": "off"}.items():
        found = await store._reader.run(lambda c, name=name: c.exec_driver_sql(f"SHOW {name}").scalar_one())
        assert found == value
    await store.close()


async def test_a_user_who_may_not_create_the_extension_searches_without_it(
    postgres_server: Server, outcome, caplog: pytest.LogCaptureFixture
) -> None:
    url = postgres_server.create(migrated=False)
    postgres_server.sql("CREATE USER modest")
    name = url.partition("@/")[2].partition("?")[0]
    postgres_server.sql("GRANT ALL ON SCHEMA public TO modest", name)
    store = await Store.open(url.replace("herding@", "modest@"))
    assert "CREATE EXTENSION pg_trgm" in caplog.text
    await store.finish(outcome(1, answer="A Needle"))
    for _ in range(2):
        page = await store.history(HistoryFilter(text="nEEdle"), viewer="ada", offset=0, limit=9)
        assert page.total == 1
        await store.index()
    await store.close()
    postgres_server.drop(url)
    postgres_server.sql("DROP USER modest")


async def test_a_server_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be reached.*DATABASE_URL") as caught:
        await Store.open(f"postgresql://herding@/x?host={tmp_path}")
    assert str(tmp_path) in str(caught.value)  # for the log, on one line
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in caught.value.message  # for callers, who need not know the host


async def test_a_database_that_is_not_there_is_explained(postgres_server: Server) -> None:
    with pytest.raises(StoreError, match=r"database does not exist.*DATABASE_URL"):
        await Store.open(postgres_server.url("nowhere"))


def test_a_missing_driver_is_explained(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ModuleNotFoundError(\"No module named 'psycopg'\")")
    script = "import asyncio\nfrom herding.store import Store\nasyncio.run(Store.open('postgres://db/x'))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ConfigError.__name__ in done.stderr
    assert 'pip install ".[postgres]"' in done.stderr


@pytest.mark.slow
async def test_acknowledged_rows_survive_kill(postgres_url: str, tmp_path: Path) -> None:
    said = tmp_path / "acknowledged"
    run_nursery(postgres_url, said, dict(os.environ))
    await assert_acknowledged(postgres_url, said.read_text())
