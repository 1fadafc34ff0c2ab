"""The tab with all prompts."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pytest

from herding.errors import NotFoundError, UserError
from herding.ui.overview.search import SearchQuery, SearchResult
from herding.ui.overview.tab import cards
from tests.ui.conftest import Desktop


async def test_all_prompts_are_listed_with_what_serves_them(desktop: Desktop) -> None:
    await desktop.fire("run")
    await desktop.fire("overview")
    shown = desktop.value(desktop.page.overview.list)
    assert "6 prompts" in shown
    assert 'data-pick="varied"' in shown
    assert "echo · echo" in shown
    assert 'class="chip plain" title="Not available">nowhere/model' in shown
    assert "1 run<" in shown


async def test_search_and_tag_narrow_the_list(desktop: Desktop) -> None:
    overview = desktop.page.overview
    desktop.set(overview.search, "KINDS of")
    await desktop.fire("overview_filter")
    assert "1 of 6 prompts" in desktop.value(overview.list)
    desktop.set(overview.search, "")
    desktop.set(overview.tag, "test")
    await desktop.fire("overview_filter")
    assert "1 of 6 prompts" in desktop.value(overview.list)
    assert ("kinds", "kinds") in desktop.prop(overview.tag, "choices")
    desktop.set(overview.search, "no such prompt")
    await desktop.fire("overview_filter")
    assert "No matching prompts" in desktop.value(overview.list)


async def test_the_page_of_a_prompt_tells_everything(desktop: Desktop) -> None:
    await desktop.fire("overview_pick", "varied")
    page = desktop.value(desktop.page.overview.page)
    for part in (
        "Number, min 0",
        "One of: kind, stern",
        "error &gt; 2000",
        "temperature",
        "Not available",
        "Optional",
    ):
        assert part in page, part
    assert desktop.prop(desktop.page.overview.open, "visible") is True


async def test_a_prompt_opens_in_the_first_tab_from_its_card_and_from_its_page(desktop: Desktop) -> None:
    await desktop.fire("open_card", "varied")
    assert desktop.prop(desktop.page.tabs, "selected") == "engineer"
    await desktop.fire("opened_1")
    assert desktop.value(desktop.page.engineer.editor.form_key) == "varied"
    await desktop.fire("overview_pick", "chat")
    await desktop.fire("open_page")
    await desktop.fire("opened_0")
    assert desktop.value(desktop.page.engineer.editor.form_key) == "chat"


@pytest.mark.parametrize("item", [None, "", 7, {"path": "/etc/passwd"}, "x" * 300])
async def test_an_item_that_there_is_not_is_refused(desktop: Desktop, item: Any) -> None:
    with pytest.raises((UserError, gr.Error)):
        await desktop.fire("overview_pick", item)


async def test_a_prompt_that_went_away_is_told(desktop: Desktop) -> None:
    with pytest.raises(NotFoundError):
        await desktop.fire("overview_pick", "gone")


async def test_broken_files_are_told_and_their_prompts_stay(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.write_text("promt: typo\n", encoding="utf-8")
    await desktop.fire("overview")
    assert "6 prompt files failed to load" in desktop.value(desktop.page.overview.load_errors)
    assert "6 prompts" in desktop.value(desktop.page.overview.list)


def test_no_prompts_have_their_own_words() -> None:
    assert "No prompts yet" in cards(SearchResult([], []), SearchQuery(), "", total=0, limit=20)
