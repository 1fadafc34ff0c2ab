"""Measures the text search of the history in a large store, on SQLite and on PostgreSQL.

Fills a store with requests of a made-up language whose words are as frequent as those of a natural one, and prints the
median and the best time of a page of 50 entries for several texts. It also prints what the index costs: bytes,
microseconds for each request, and the rows a second that the store acknowledges with and without it.

python benchmarks/search.py [--rows 1000000] [--database sqlite|postgresql] [--rounds 7] [--folder /tmp]

PostgreSQL is started for the run, from the installed programs (`python -m tests.database` installs them).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Connection, column, func, insert, literal, null, select, table

from herding.store import Store, search_index
from herding.store.rows import request_row
from herding.store.tables import search_text
from herding.values import HistoryFilter, Outcome, Usage
from tests.support import postgres

POOL = 20_000
"""Different texts; each stands in rows / POOL requests, with a number of the request behind it."""

START = 28_333_333 * 60_000
SPACING = 2_000
"""Milliseconds between two requests: 30 in a minute."""

PART = 20_000
"""Requests of one transaction."""

MARKS = {"zebrafish": 50_000, "Größenordnung": 20_000, '"quoted words", 100%': 40_000, "漢字": 100_000, "qž": 200_000}
"""Texts that stand in one of so many requests."""

OLD = "only in the old ones"
"""Stands in each tenth of the oldest tenth of the requests."""


def vocabulary(chance: random.Random) -> tuple[list[str], list[float]]:
    """30,000 words and their frequencies."""
    first, second, ends = "bcdfghklmnprstvw", "aeiou", ("", "", "n", "s", "t", "r")
    words = [
        "".join(chance.choice(first) + chance.choice(second) for _ in range(chance.randint(1, 4))) + chance.choice(ends)
        for _ in range(30_000)
    ]
    return words, [1 / (rank + 2) for rank in range(len(words))]


def pool() -> list[dict[str, Any]]:
    """Pairs of input and answer, 5 to 60 words each."""
    chance = random.Random(7)
    words, weights = vocabulary(chance)
    return [
        {
            "n": number,
            "input": " ".join(chance.choices(words, weights, k=chance.randint(5, 60))),
            "answer": " ".join(chance.choices(words, weights, k=chance.randint(5, 60))),
        }
        for number in range(POOL)
    ]


def marks(rows: int, *, folded: bool) -> str:
    """An SQL expression for what stands behind the text of request `i`."""
    parts = [
        f"CASE WHEN i % {each} = {each // 2} THEN ' {mark.casefold() if folded else mark}' ELSE '' END"
        for mark, each in MARKS.items()
    ]
    old = f"CASE WHEN i < {rows // 10} AND i % 10 = 0 THEN ' {OLD}' ELSE '' END"
    return " || ".join([*parts, old, "' ticket' || i || '.'"])


def fill_part(connection: Connection, begin: int, end: int, rows: int) -> None:
    """Write requests `begin` to `end` as the store does, but by the database itself."""
    sqlite = connection.dialect.name == "sqlite"
    numbers = (
        f"WITH RECURSIVE c(i) AS (SELECT {begin} UNION ALL SELECT i + 1 FROM c WHERE i + 1 < {end}) SELECT i FROM c"
        if sqlite
        else f"SELECT i FROM generate_series({begin}::bigint, {end - 1}) AS s(i)"
    )
    request_id = "printf('%032x', i)" if sqlite else "lpad(to_hex(i), 32, '0')"
    source = f"({numbers}) AS s JOIN pool ON pool.n = (i * 7919) % {POOL}"
    row = request_row(Outcome("", "", "m", 0, status="succeeded", model="m", node="n", usage=Usage(100, 100)))
    row = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}
    columns = {name: null() if value is None else literal(value) for name, value in row.items()}
    compiled = {
        name: str(value.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True}))
        for name, value in columns.items()
    }
    compiled |= {
        "id": request_id,
        "principal": "'user' || (i * 31 % 50)",
        "created_at": f"{START} + i * {SPACING}",
        "input": "pool.input",
        "answer": f"pool.answer || {marks(rows, folded=False)}",
    }
    names, values = ", ".join(compiled), ", ".join(compiled.values())
    # The percent signs are literal for the driver: there are no parameters.
    connection.connection.cursor().execute(f"INSERT INTO request ({names}) SELECT {values} FROM {source}")
    text = f"pool.input || {SEPARATOR} || pool.answer || {marks(rows, folded=True)} || {SEPARATOR} || {SEPARATOR}"
    doc = f"({START // 60_000} + i / 30) * {search_index.BUCKET} + i % 30"
    connection.connection.cursor().execute(
        f"INSERT INTO search_text (doc, request_id, text) SELECT {doc}, {request_id}, {text} FROM {source}"
    )


SEPARATOR = f"'{search_index.SEPARATOR}'"


async def fill(store: Store, url: str, rows: int) -> None:
    """Write and index all requests, and print the size."""
    sqlite = url.startswith("sqlite")

    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE pool (n INTEGER PRIMARY KEY, input TEXT, answer TEXT)")
        connection.execute(insert(table("pool", column("n"), column("input"), column("answer"))), pool())
        if not sqlite:
            connection.exec_driver_sql("DROP INDEX ix_search_text_trigrams")

    await store._writer.call(begin)
    begun = time.perf_counter()
    for first in range(0, rows, PART):
        last = min(rows, first + PART)
        await store._writer.call(lambda c, first=first, last=last: fill_part(c, first, last, rows))
    await store._writer.call(lambda c: c.exec_driver_sql("DROP TABLE pool") and None)
    if not sqlite:
        await store._writer.call(build)
        await vacuum(store)
    print(f"  {rows:,} requests written and indexed in {time.perf_counter() - begun:,.0f} s")
    for name, number in (await store._reader.run(lambda c: sizes(c, rows))).items():
        print(f"  {number:8,.0f} bytes a request: {name}")


def build(connection: Connection) -> None:
    """Create PostgreSQL's index at once, which is faster than row by row."""
    connection.exec_driver_sql("SET LOCAL maintenance_work_mem = '1GB'")
    search_index.prepare(connection)


def sizes(connection: Connection, rows: int) -> dict[str, float]:
    """Return the bytes of a request in the tables and the index."""
    length = float(connection.execute(select(func.avg(func.length(search_text.c.text)))).scalar_one())
    if connection.dialect.name == "sqlite":
        pages = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        blocks = "SELECT sum(length(block)) FROM search_index_data"
        found = {"the whole database": pages, "the index of trigrams": blocks}
    else:
        found = {
            "the whole database": "SELECT pg_database_size(current_database())",
            "the folded texts": "SELECT pg_table_size('search_text')",
            "the index of trigrams": "SELECT pg_relation_size('ix_search_text_trigrams')",
        }
    measured = {name: connection.exec_driver_sql(query).scalar_one() / rows for name, query in found.items()}
    return {"texts (characters)": length, **measured}


async def vacuum(store: Store) -> None:
    """Let PostgreSQL count its rows, as it does by itself in time."""

    def work(driver: Any) -> None:
        driver.autocommit = True
        driver.execute("VACUUM ANALYZE")
        driver.autocommit = False

    await store._writer.maintain(work)


async def measure(store: Store, rows: int, rounds: int) -> None:
    """Print the median times of searches."""
    words, _ = vocabulary(random.Random(7))
    texts: dict[str, dict[str, Any]] = {
        "rare": {"text": "ZEBRAFISH"},
        "one request": {"text": f"ticket{rows // 3}."},
        "nowhere": {"text": "xylophonist"},
        "frequent": {"text": words[20]},
        "half frequent": {"text": words[3_000]},
        "several words": {"text": f"{words[11]} {words[5]}"},
        "several words, rare": {"text": f"{words[400]} {words[700]}"},
        "quoted": {"text": '"quoted words", 100%'},
        "one letter": {"text": "t"},
        "two letters": {"text": words[0][:2]},
        "two letters, rare": {"text": "qŽ"},
        "unicode": {"text": "GRÖSSENORDNUNG"},
        "two signs": {"text": "漢字"},
        "old requests only": {"text": OLD},
        "rare, of one user": {"text": "zebrafish", "principal": "user7"},
        "frequent, of one user": {"text": words[20], "principal": "user7"},
        "frequent, page 20": {"text": words[20], "offset": 1_000},
    }
    print("  text                       median      best")
    for name, options in texts.items():
        given = dict(options)
        offset = given.pop("offset", 0)
        times, page = [], None
        for _ in range(rounds):
            begun = time.perf_counter()
            page = await store.history(HistoryFilter(**given), viewer="user1", offset=offset, limit=50)
            times.append((time.perf_counter() - begun) * 1000)
        assert page
        count = f"{page.total:,}{'+' if page.more else ''}"
        print(f"  {name:24} {statistics.median(times):9.1f} {min(times):9.1f} ms   {count:>9} found   {given['text']}")


async def rates(store: Store, count: int = 10_000) -> None:
    """Print the rows a second that the store acknowledges, with and without the queue of the index, and its cost."""
    all_of, part = store._writer._statements, [" ".join(["some words of an answer"] * 20)]
    for name in ("with", "without"):
        store._writer._statements = {key: one for key, one in all_of.items() if key != "search" or name == "with"}
        best = 0.0
        for turn in range(3):
            rows = [
                Outcome(f"{name}{turn}-{number}", "user1", "p", START + number, status="succeeded", answer=part[0])
                for number in range(count)
            ]
            begun = time.perf_counter()
            await asyncio.gather(*(store.finish(row) for row in rows))
            best = max(best, count / (time.perf_counter() - begun))
        print(f"  {best:,.0f} rows a second {name} the queue of the index")
    begun, taken = time.perf_counter(), 0
    while step := await store._writer.call(search_index.index_batch):
        taken += step
    print(f"  {(time.perf_counter() - begun) / taken * 1e6:,.0f} µs to index a request of {len(part[0])} characters")


async def run(url: str, rows: int, rounds: int) -> None:
    """Fill and measure one database."""
    store = await Store.open(url)
    await fill(store, url, rows)
    await measure(store, rows, rounds)
    await rates(store)
    await store.close()


def main() -> None:
    """Measure the chosen databases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="for the SQLite file; default: the system's folder")
    options = parser.parse_args()
    if options.database != "postgresql":
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            print("SQLite")
            asyncio.run(run(f"sqlite:///{folder}/search.sqlite", options.rows, options.rounds))
    if options.database != "sqlite":
        with postgres.server(fsync="on", full_page_writes="on", shared_buffers="512MB", max_wal_size="4GB") as server:
            if server is None:
                print("PostgreSQL is not installed: run python -m tests.database")
                return
            print("PostgreSQL")
            asyncio.run(run(server.create(), options.rows, options.rounds))


if __name__ == "__main__":
    main()
