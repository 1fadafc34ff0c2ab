"""The parts of the comparison: merged streams, differences, and the summary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from herding.ui.compare.columns import Column, ColumnConfig, dump_columns, load_columns
from herding.ui.compare.diff import MAX_WORDS, word_diff
from herding.ui.compare.merge_streams import merge_streams
from herding.ui.compare.summary import fact_of, summary
from herding.ui.kit.responses.response import speed
from herding.values import CheckResult, Outcome, Timings, Usage


async def said(*texts: str) -> AsyncGenerator[tuple[str, Any], None]:
    for text in texts:
        await asyncio.sleep(0)
        yield "text", text


async def test_streams_are_told_apart() -> None:
    found = [event async for event in merge_streams({"a": said("x", "y"), "b": said("q", "r", "s")})]
    assert [data for name, data in found if name == "a.text"] == ["x", "y"]
    assert [data for name, data in found if name == "b.text"] == ["q", "r", "s"]


async def test_closing_ends_all_streams_also_those_that_wait_for_a_slow_page() -> None:
    closed: list[str] = []

    async def endless() -> AsyncGenerator[tuple[str, Any], None]:
        try:
            while True:
                yield "text", "a"
                await asyncio.sleep(0)
        finally:
            closed.append("closed")

    events = merge_streams({"a": endless(), "b": endless()})
    await anext(events)
    await asyncio.sleep(0.05)
    await events.aclose()
    assert closed == ["closed", "closed"]


async def test_an_error_of_a_stream_comes_out() -> None:
    async def failing() -> AsyncGenerator[tuple[str, Any], None]:
        raise ZeroDivisionError
        yield "text", ""

    with pytest.raises(ZeroDivisionError):
        async for _ in merge_streams({"a": failing(), "b": said("x")}):
            pass


def test_columns_survive_the_address() -> None:
    configs = [
        ColumnConfig("say"),
        ColumnConfig("other", "3", "m", {"temperature": 0.5, "stop": ["\n", "ü"]}),
    ]
    columns = [Column(letter, config) for letter, config in zip("ab", configs, strict=True)]
    assert load_columns(dump_columns(columns, "say"), "say") == configs
    for text in ("", "{", "[1]", "{}", "[" * 9_000, '[{"parameters": {"temperature": {}, "x": 1}}]'):
        assert all(config == ColumnConfig("say") for config in load_columns(text, "say"))


@pytest.mark.parametrize(
    ("left", "right", "told", "marks"),
    [
        ("one two three", "one two three", "No differences", (0, 0)),
        ("one two three", "one 2 three", "1 word removed, 1 word added", (1, 1)),
        ("one two", "one two three four", "0 words removed, 2 words added", (0, 1)),
        ("a", "<img src=x>", "1 word removed", (1, 1)),
        ("", "", "No differences", (0, 0)),
        ("東京は雨です。", "東京は晴です。", "1 word removed, 1 word added", (1, 1)),
    ],
)
def test_differences_are_told_and_marked(left: str, right: str, told: str, marks: tuple[int, int]) -> None:
    shown = word_diff(left, right)
    assert told in shown
    assert (shown.count("<del>"), shown.count("<ins>")) == marks
    assert "<img" not in shown


def test_differences_of_endless_texts_end() -> None:
    shown = word_diff("la " * 20_000, "la lu " * 20_000)
    assert f"Only the first {MAX_WORDS:,} words are compared" in shown


def _outcome(ms: float, tokens: int, *, ok: bool | None = None, status: str = "succeeded") -> Outcome:
    facts = {"timings": Timings(0, 10, ms), "usage": Usage(1, tokens), "checks": CheckResult(ok)}
    return Outcome("id", "me", "say", 0, status=status, **facts)  # type: ignore[arg-type]


def test_the_summary_counts_by_column_and_by_what_it_ran() -> None:
    first = Column("a", ColumnConfig("say"))
    second = Column("b", ColumnConfig("say", "3", "m", {"temperature": 1.5}))
    facts = [
        fact_of(first, _outcome(100, 10, ok=True)),
        fact_of(first, _outcome(300, 20, ok=False)),
        fact_of(second, _outcome(50, 5)),
        fact_of(first, _outcome(9000, 1, status="failed")),
    ]
    shown = summary(facts)
    for part in ("3 (1 unsuccessful)", "200 ms", "15.0", "1 of 2", "say@3", "temperature 1.5", "no checks"):
        assert part in shown, part
    assert shown.count("<tr>") == 3
    assert summary([]) == ""


def test_speed_is_told_where_it_can_be() -> None:
    assert speed(_outcome(1010, 101)) == "100 tokens/s"
    assert speed(_outcome(11, 101)) == speed(_outcome(1010, 1)) == ""
