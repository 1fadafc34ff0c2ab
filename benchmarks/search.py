"""Measures the text search of the history in a large store, on SQLite and on PostgreSQL.

Fills a store with requests of a made-up language whose words are as frequent as those of a natural one, builds the
index, and prints the median time of a page of 50 entries for several texts, beside a plain reading of all texts. It
also prints what the index costs: bytes, microseconds for each request, and the rows a second that the store
acknowledges with and without it.

python benchmarks/search.py [--rows 1000000] [--database sqlite|postgresql] [--rounds 7] [--folder /tmp]

PostgreSQL is started for the run, from the installed programs (`python -m tests.database` installs them).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Connection, func, insert, select

from herding.store import Store, search_index
from herding.store.rows import request_row
from herding.store.tables import request, search_queue, search_text
from herding.values import HistoryFilter, Outcome, Usage
from tests.support import postgres

BATCH = 5_000
START = 1_700_000_000_000
SPACING = 2_000
"""Milliseconds between two requests."""

USERS = [f"user{number}" for number in range(50)]
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


def outcomes(rows: int) -> Iterator[Outcome]:
    """The requests, oldest first."""
    chance = random.Random(7)
    words, weights = vocabulary(chance)
    pool = chance.choices(words, weights, k=2_000_000)
    for number in range(rows):
        at = chance.randrange(len(pool) - 120)
        middle = at + chance.randint(5, 60)
        answer = " ".join(pool[middle : middle + chance.randint(5, 60)])
        marks = [mark for mark, distance in MARKS.items() if number % distance == distance // 2]
        if number < rows // 10 and number % 10 == 0:
            marks.append(OLD)
        yield Outcome(
            f"{number:032x}",
            chance.choice(USERS),
            f"prompt{number % 20}",
            START + number * SPACING,
            status="succeeded",
            input=" ".join(pool[at:middle]),
            answer=" ".join([answer, *marks, f"ticket{number}."]),
            model="m",
            node="n",
            usage=Usage(100, 100),
        )


def parts(all_of: Iterator[Outcome]) -> Iterator[list[Outcome]]:
    """Lists of BATCH outcomes."""
    part: list[Outcome] = []
    for one in all_of:
        part.append(one)
        if len(part) == BATCH:
            yield part
            part = []
    if part:
        yield part


def insert_all(connection: Connection, part: Sequence[Outcome]) -> None:
    """Write requests without the pipeline's other rows."""
    connection.execute(insert(request), [request_row(one) for one in part])
    connection.execute(insert(search_queue), [{"request_id": one.request_id} for one in part])


async def size(store: Store, url: str) -> int:
    """Bytes of the database."""
    if url.startswith("sqlite"):
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    else:
        query = "SELECT pg_database_size(current_database())"
    return int(await store._reader.run(lambda c: c.exec_driver_sql(query).scalar_one()))


async def fill(store: Store, url: str, rows: int) -> None:
    """Write and index all requests, and print what it costs."""
    begun = time.perf_counter()
    for part in parts(outcomes(rows)):
        await store._writer.call(lambda c, part=part: insert_all(c, part))
    written, before = time.perf_counter() - begun, await size(store, url)
    search_index.BATCH = BATCH
    begun = time.perf_counter()
    while await store._writer.call(search_index.index_batch):
        pass
    indexed, after = time.perf_counter() - begun, await size(store, url)
    if not url.startswith("sqlite"):
        await vacuum(store)
    length = await store._reader.run(
        lambda c: c.execute(select(func.avg(func.length(search_text.c.text)))).scalar_one()
    )
    print(
        f"  {rows:,} requests of {float(length):,.0f} characters: {written:,.0f} s to write, {indexed:,.0f} s to index"
    )
    print(
        f"  {indexed / rows * 1e6:,.0f} µs to index a request; {before / rows:,.0f} bytes a request without the index,"
    )
    print(f"  {(after - before) / rows:,.0f} more with it")


async def vacuum(store: Store) -> None:
    """Let PostgreSQL put its index in order and count, as it does by itself in time."""

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
        print(f"  {name:24} {statistics.median(times):9.1f} ms   {count:>9} found   {given['text']}")


async def rates(store: Store, count: int = 20_000) -> None:
    """Print the rows a second that the store acknowledges, with and without the queue of the index."""
    for name, statement in (("with", store._writer._statements["search"]), ("without", None)):
        statements = dict(store._writer._statements)
        statements.pop("search")
        if statement is not None:
            statements["search"] = statement
        store._writer._statements = statements
        best = 0.0
        for turn in range(3):
            rows = [
                Outcome(
                    f"w{name}{turn}{number:028x}", "user1", "p", START + number, status="succeeded", answer="x" * 500
                )
                for number in range(count)
            ]
            begun = time.perf_counter()
            await asyncio.gather(*(store.finish(row) for row in rows))
            best = max(best, count / (time.perf_counter() - begun))
        print(f"  {best:,.0f} rows a second {name} the queue of the index")


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
