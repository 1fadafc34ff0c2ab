"""The search for a text: what is found, however much of it the index knows, on each kind of database."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest
from sqlalchemy import Connection, event

from herding.store import Store, search, search_index
from herding.values import Choice, HistoryFilter
from tests.support.database import reserve

MINUTE = 60_000


async def found(store: Store, text: str, *, limit: int = 200, offset: int = 0, **where: Any) -> list[int]:
    """Numbers of the requests that a search finds; an export finds the same."""
    wanted = HistoryFilter(text=text, **where)
    page = await store.history(wanted, viewer="ada", offset=offset, limit=limit)
    exported = [int(entry.outcome.request_id, 16) async for entry in store.export(wanted, viewer="ada")]
    numbers = [int(entry.outcome.request_id, 16) for entry in page.entries]
    assert numbers == exported[offset : offset + limit]
    assert page.total <= len(exported) if page.more else page.total == len(exported)
    return numbers


@pytest.fixture(params=["whole", "some", "none"])
def indexed(request: pytest.FixtureRequest) -> str:
    """How much of the history the index knows."""
    return str(request.param)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the index be asked early, and give little at once."""
    for name, value in {"WALK": 5, "FEW": 3, "CHUNK": 4, "FREQUENT": 2, "LONGEST_WALK": 20}.items():
        monkeypatch.setattr(search, name, value)
    monkeypatch.setattr("herding.store.history.COUNTED", 1)
    monkeypatch.setattr(search_index, "BATCH", 7)


WORDS = ("Straße", "GRÜẞE", "Σίσυφος", "İstanbul", "qz", "100%", "a_b", "b\\c", "漢字", 'say "hi"', "it's", "the", "x")
SEARCHED = (
    *("strasse", "STRASSE", "grüsse", "grüße", "GRÜSSE", "σίσυφοσ", "i̇stanbul", "q", "Z", "qz", "zq", "100%", "00%"),
    *("a_b", "_", "%", "b\\C", "\\", "漢", "漢字", "字", 'SAY "hi"', '"', "it's", "The", "the x", "nowhere", " ", "x "),
)


@pytest.mark.slow
@pytest.mark.usefixtures("small")
async def test_every_text_is_found_however_much_is_indexed(store: Store, outcome, indexed: str) -> None:
    chance = random.Random(1)
    texts: dict[int, str] = {}
    for number in range(60):
        texts[number] = " ".join(chance.choices(WORDS, k=3))
        place = chance.choice(("answer", "input", "error"))
        at = 10 * MINUTE + number // 3 * chance.choice((1, MINUTE // 2))
        who = chance.choice(("ada", "bob"))
        await store.finish(outcome(number, created_at=at, principal=who, **{place: texts[number]}))
        if indexed == "some" and number in (20, 40):
            await store.index()
    if indexed == "whole":
        assert await store.index()
    newest = [int(entry.outcome.request_id, 16) async for entry in store.export(HistoryFilter(), viewer="ada")]
    bobs = set(await found(store, "", principal="bob"))
    for text in SEARCHED:
        expected = [number for number in newest if text.casefold() in texts[number].casefold()]
        assert await found(store, text) == expected, text
        assert await found(store, text, limit=3, offset=2) == expected[2:5], text
        assert await found(store, text, principal="bob") == [number for number in expected if number in bobs], text


async def test_case_is_ignored_as_unicode_says(store: Store, outcome, indexed: str) -> None:
    await store.finish(outcome(1, answer="viele grüß an alle", variables={"x": ["STRASSE"]}))
    if indexed != "none":
        await store.index()
    for text in ("grÜSS", "GRÜß", "grüss", "Straße", "straẞe"):
        assert await found(store, text) == [1], text
    assert await found(store, "grus") == []


async def test_a_comment_is_searched_and_its_change_replaces_it(store: Store, outcome, indexed: str) -> None:
    await store.finish(outcome(1, answer="something"))
    for text in ("a first opinion", "a second opinion"):
        await store.comment(request_id=outcome(1).request_id, principal="bob", text=text, at=1)
        if indexed != "none":
            await store.index()
    assert await found(store, "SECOND opinion") == [1]
    assert await found(store, "first") == []
    await store.comment(request_id=outcome(1).request_id, principal="bob", text=" ", at=1)
    assert await found(store, "opinion") == []


async def test_what_is_in_two_texts_is_not_found_across_them(store: Store, outcome) -> None:
    await store.finish(outcome(1, input="one", answer="two", variables={"a": "three", "b": 4, "c": [True, None]}))
    await store.index()
    assert await found(store, "onetwo") == []
    for text in ("three", "4", "true", "a"):
        assert await found(store, text) == [1]


async def test_messages_are_searched_as_they_are_read(store: Store, outcome, indexed: str) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAAneedleAAAA"}}
    messages = [
        {"role": "system", "content": 'say "hi"\nin two lines'},
        {"role": "user", "content": [{"type": "text", "text": "ünïcode \U0001f999"}, image]},
    ]
    await store.finish(outcome(1, input=json.dumps(messages)))
    if indexed != "none":
        await store.index()
    for text in ('SAY "hi"', 'hi"\nin', "ÜNÏCODE", "\U0001f999"):
        assert await found(store, text) == [1], text
    for text in ("needle", "image_url", "system"):
        assert await found(store, text) == [], text


async def test_reasoning_and_tool_calls_are_searched(store: Store, outcome, indexed: str) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Zürich"}'}}
    choice = Choice(reasoning="Let me THINK", fields={"tool_calls": [call], "reasoning_content": "Let me THINK"})
    await store.finish(outcome(1, choices=(choice,)))
    if indexed != "none":
        await store.index()
    for text in ("let me think", "WEATHER", "zürich"):
        assert await found(store, text) == [1], text


@pytest.mark.usefixtures("small")
async def test_erased_texts_are_found_no_more(store: Store, outcome) -> None:
    for number in range(30):
        await store.finish(outcome(number, answer="a needle", principal="ada" if number % 2 else "bob"))
    await store.index()
    await store.erase_content(principal="ada", request_ids=None)
    assert await found(store, "needle") == list(range(28, -1, -2))
    await store.index()
    assert await found(store, "needle") == list(range(28, -1, -2))


async def test_a_request_without_an_end_is_found(store: Store, outcome) -> None:
    await reserve(store, outcome(1, status="running", input="begun"), limits=(), tokens=0)
    assert await found(store, "BEGUN") == [1]


async def test_what_was_interrupted_is_indexed_too(store: Store, url: str, outcome) -> None:
    await reserve(store, outcome(1, status="running", input="begun"), limits=(), tokens=0)
    await store.close()
    again = await Store.open(url)
    assert await again.index() == 1
    assert await found(again, "the app stopped") == [1]
    await again.close()


async def test_long_texts_are_indexed_a_few_at_a_time(store: Store, outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "BATCH_CHARS", 100)
    for number in range(4):
        await store.finish(outcome(number, input=f"long {number} " * 20, answer=f"answer {number}"))
    for number in range(4, 10):
        await store.finish(outcome(number, input=f"short {number}"))
    batches = []
    while taken := await store._writer.call(search_index.index_batch):
        batches.append(taken)
    assert batches == [6, 1, 1, 1, 1]
    assert await found(store, "long 2") == [2]
    await store.finish(outcome(11, input="long 11 " * 20))
    await store.finish(outcome(12, input="long 12 " * 20))
    assert await store.index() == 2


@pytest.mark.sqlite
async def test_many_texts_beside_a_long_one_hold_no_writer_up(store: Store, outcome) -> None:
    logprobs = {"content": [{"token": f"token {number}"} for number in range(8_000)]}
    await store.finish(outcome(1, input="word " * 400_000, choices=(Choice(extra={"logprobs": logprobs}),)))
    async with asyncio.timeout(10):  # to look for each text in the long one would take a minute
        assert await store.index() == 1
    assert await found(store, "token 7999") == [1]


@pytest.mark.parametrize("when", ["before it is indexed", "after"])
async def test_of_very_long_texts_the_beginnings_are_searched(store: Store, outcome, when: str) -> None:
    half = search_index.MAX_CHARS // 2
    texts = {"input": f"first {'x' * (half - 20)} {'x' * 10_000_000} last", "answer": f"short {'y' * half} end"}
    await store.finish(outcome(1, variables={"name": "value"}, **texts))
    if when == "after":
        assert await store.index() == 1
    assert [await found(store, text) for text in ("first", "short", "value", "last", "end")] == [[1], [1], [1], [], []]


def test_short_texts_leave_their_room_to_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_index, "MAX_CHARS", 10)
    assert search_index._shortened(["a" * 9, "b", "c" * 20]) == ["aaaa", "b", "cccc"]
    assert search_index._shortened(["a" * 9, "b"]) == ["a" * 9, "b"]


@pytest.mark.usefixtures("small")
async def test_a_frequent_text_is_counted_as_far_as_it_was_read(store: Store, outcome) -> None:
    for number in range(40):
        await store.finish(outcome(number, answer="frequent"))
    await store.index()
    page = await store.history(HistoryFilter(text="frequent"), viewer="ada", offset=0, limit=2)
    assert (len(page.entries), page.more) == (2, True)
    assert 2 < page.total < 40


async def test_a_database_of_before_is_indexed_while_the_app_runs(store: Store, outcome) -> None:
    for number in range(5):
        await store.finish(outcome(number, answer=f"text {number}"))
    await store.index()

    def forget(connection: Any) -> None:
        connection.exec_driver_sql("DELETE FROM search_text")
        connection.exec_driver_sql("INSERT INTO search_queue SELECT id FROM request")

    await store._writer.call(forget)
    assert await found(store, "TEXT 3") == [3]
    assert await store.index() == 5
    assert await found(store, "TEXT 3") == [3]


@pytest.mark.sqlite
async def test_the_index_waits_for_no_disk_and_leaves_that_to_the_rows(store: Store, outcome) -> None:
    found: list[int] = []

    def look(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert driver is not None
        found.append(driver.execute("PRAGMA synchronous").fetchone()[0])

    event.listen(store._writer._engine, "commit", look)
    await store.finish(outcome(1, answer="a word"))
    assert await store.index() == 1
    normal, full = 1, 2
    assert found == [full, normal if (await store.check()).journal_mode == "wal" else full, full]
