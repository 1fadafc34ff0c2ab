"""Blind mode: nothing on the page tells which column a response came from, until it may be known."""

from __future__ import annotations

import json

import pytest

from herding.ui.compare import blind
from herding.ui.compare.blind import assign
from herding.ui.compare.columns import Column, ColumnConfig
from herding.values import Outcome, Parameters
from tests.support.herding import GUEST
from tests.ui.compare.pages import Board, opened
from tests.ui.compare.test_compare import reopened
from tests.ui.conftest import Desktop

TWO = (
    "name: Two\ntarget_models: [echo, slow/model]\nvariables: {text: {type: text, default: a b}}\nprompt: '{{text}}'\n"
)


async def blind_run(desktop: Desktop, *, who: object = None) -> Board:
    desktop.place.write("two", TWO)
    board = await opened(desktop, "two")
    await board.edit("b.param.max_tokens", "9")
    await board.edit("blind", "on")
    assert board.address["blind"] == "1"
    await board.run()
    return board


def order(monkeypatch: pytest.MonkeyPatch, *, swapped: bool) -> None:
    """Make the random order known to the test."""

    class Known:
        def shuffle(self, columns: list[Column]) -> None:
            if swapped:
                columns.reverse()

    monkeypatch.setattr(blind, "_RANDOM", Known())


@pytest.mark.parametrize("swapped", [False, True])
async def test_the_page_does_not_tell_names_before_the_choice(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch, swapped: bool
) -> None:
    order(monkeypatch, swapped=swapped)
    board = await blind_run(desktop)
    told = {name: str(data) for name, data in board.shown.items() if name[:2] in ("a.", "b.") or name == "finished"}
    assert told.keys() >= {"a.done", "b.done", "finished"}
    for name, html in told.items():
        for secret in ("echo", "slow", "tokens", " ms", "max_tokens", "Routed"):
            assert secret not in html.replace(json.dumps(board.address.get("columns")), ""), (name, secret)
    again = await reopened(board)
    assert "data-hidden" in again
    assert "Routed" not in again
    assert "→" not in again
    place = "b" if swapped else "a"
    rows = {row.request_id: row for row in await desktop.place.rows()}
    assert rows[board.request(place)].model == "echo"
    piece = await board.press("prefer", choice="a")
    assert "A is better than B" in piece
    assert "compare-revealed" in piece.told
    assert board.address["hidden"] == ""
    assert [board[f"{letter}.model"] for letter in "ab"] == (
        ["slow/model", "echo"] if swapped else ["echo", "slow/model"]
    )
    for letter in "ab":
        row = rows[board.request(letter)]
        assert str(row.model) in board.shown[f"compare-{letter}-line"]
        assert f"Routed to {row.node}" in board.shown[f"compare-{letter}-more"]
        assert "tokens" in board.shown[f"compare-{letter}-status"]
    assert board["a.param.max_tokens"] == ("9" if swapped else "")
    assert board.shown["compare-summary"].count("<tr>") == 3


async def test_the_order_and_the_time_of_arrival_are_not_shown(desktop: Desktop) -> None:
    desktop.place.write("two", TWO)
    board = await opened(desktop, "two")
    await board.edit("blind", "on")
    events = [name for name, _ in await board.run()]
    assert events[:2] == ["a.status", "b.status"]
    shown = [name for name in events[2:] if not name.endswith((".beat", ".started"))]
    assert sorted(shown[:-1]) == ["a.done", "a.status", "b.done", "b.status"]
    assert events[-len(shown) :] == shown  # nothing comes between them
    assert not [name for name in events if name.endswith((".text", ".blocks"))]


async def test_stars_for_all_show_the_names_and_so_does_the_button(desktop: Desktop) -> None:
    board = await blind_run(desktop)
    assert board.fields["hidden"] == ["on"]
    first = await board.press(f"rate/{board.request('a')}", stars="2")
    assert "compare-revealed" not in first.told
    assert "echo" not in first
    second = await board.press(f"rate/{board.request('b')}", stars="5")
    assert "compare-revealed" in second.told
    board = await blind_run(desktop)
    assert "compare-revealed" in (await board.press("reveal")).told


async def test_an_error_that_names_the_node_is_shown_with_the_names(desktop: Desktop) -> None:
    desktop.place.write("two", TWO.replace("slow/model", "broken/model"))
    board = await opened(desktop, "two")
    board.fields["blind"] = ["on"]
    await board.run()
    failed = next(letter for letter in "ab" if "Incomplete" in board.shown[f"{letter}.status"])
    assert "Too slow" not in board.shown[f"{failed}.done"]
    assert "The error is shown with the names" in board.shown[f"{failed}.done"]
    await board.press("reveal")
    assert "Too slow" in board.shown[f"compare-{failed}-more"]


async def test_others_are_not_told_the_names(desktop: Desktop) -> None:
    board = await blind_run(desktop)
    board.who = GUEST
    with pytest.raises(Exception, match="not found"):
        await board.press("reveal")


def test_responses_are_assigned_to_the_columns_that_fit_them() -> None:
    configs = [ColumnConfig("say"), ColumnConfig("say", model="m"), ColumnConfig("say", parameters={"seed": 3})]
    columns = [Column(letter, config) for letter, config in zip("abc", configs, strict=True)]

    def outcome(model: str, **parameters: int) -> Outcome:
        return Outcome("id", "me", "say", 0, model=model, parameters=Parameters(**parameters))  # type: ignore[arg-type]

    found = assign(columns, {"a": outcome("m"), "b": outcome("x", seed=3), "c": outcome("x")})
    assert found[0].config.model == "m"
    assert len({column.letter for column in found}) == 3
    missing = assign(columns, {"b": outcome("m")})
    assert next(column for column in missing if column.letter == "b").config.model == "m"
