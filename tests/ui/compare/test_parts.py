"""The parts of the comparison: streams side by side, differences, and the summary."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from herding.errors import NodeError
from herding.ui.compare.diff import MAX_WORDS, word_diff
from herding.ui.compare.merge_streams import merge_streams
from herding.ui.compare.state import ColumnConfig, ColumnRun, CompareState
from herding.ui.compare.summary import table
from herding.ui.kit.response import speed
from herding.values import CheckResult, Delta, Event, Outcome, Timings, Usage


async def said(*texts: str | Exception, closed: list[str] | None = None) -> AsyncGenerator[Event, None]:
    try:
        for text in texts:
            await asyncio.sleep(0)
            if isinstance(text, Exception):
                raise text
            yield Delta(text)
    finally:
        if closed is not None:
            closed.append("closed")


async def test_streams_are_told_apart_and_one_that_fails_ends_alone() -> None:
    error = NodeError("broken")
    found = [
        pair
        async for batch in merge_streams({0: said("a", "b"), 1: said("x", error), 4: said("q", "r", "s")}, every=0)
        for pair in batch
    ]
    assert [event for number, event in found if number == 0] == [Delta("a"), Delta("b")]
    assert [event for number, event in found if number == 1] == [Delta("x"), error]
    assert [event for number, event in found if number == 4] == [Delta("q"), Delta("r"), Delta("s")]


async def test_closing_ends_all_streams() -> None:
    closed: list[str] = []

    async def endless() -> AsyncGenerator[Event, None]:
        try:
            yield Delta("a")
            await asyncio.sleep(60)
        finally:
            closed.append("closed")

    batches = merge_streams({0: endless(), 1: endless()}, every=0, beat=0.01)
    await anext(batches)
    await batches.aclose()
    assert closed == ["closed", "closed"]


async def test_what_nobody_expects_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        async for _ in merge_streams({0: said(ZeroDivisionError()), 1: said("a")}, every=0):
            pass


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
    state, warm = CompareState(), ColumnConfig("say", "3", "m", temperature=1.5)
    first, second = state.columns[:2]
    first.runs += [
        ColumnRun(ColumnConfig("say"), _outcome(100, 10, ok=True)),
        ColumnRun(ColumnConfig("say"), _outcome(300, 20, ok=False)),
    ]
    first.runs += [ColumnRun(ColumnConfig("say"), _outcome(9000, 1, status="failed"))]
    second.runs += [ColumnRun(warm, _outcome(50, 5))]
    shown = table(state)
    for part in ("3 (1 unsuccessful)", "200 ms", "15.0", "1 of 2", "say@3", "temperature 1.5", "no checks"):
        assert part in shown, part
    assert shown.count("<tr>") == 3


def test_speed_is_told_where_it_can_be() -> None:
    assert speed(_outcome(1010, 101)) == "100 tokens/s"
    assert speed(_outcome(11, 101)) == speed(_outcome(1010, 1)) == ""
