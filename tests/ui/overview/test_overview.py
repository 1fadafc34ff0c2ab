"""The tab with all prompts."""

from __future__ import annotations

import pytest

from herding.errors import NotFoundError
from herding.ui.overview.search import SearchQuery, SearchResult
from herding.ui.overview.tab import table
from tests.ui.conftest import Desktop


async def test_all_prompts_are_listed_with_what_serves_them(desktop: Desktop) -> None:
    await desktop.run()
    shown = await desktop.get("overview")
    assert "6 prompts" in shown
    assert 'data-row="varied"' in shown
    assert 'class="chip good" title="echo">echo<' in shown
    assert 'class="chip plain" title="Not available">nowhere/model' in shown
    assert '<td class="number">1</td>' in shown


async def test_search_and_tag_narrow_the_list_and_stay_in_the_address(desktop: Desktop) -> None:
    found = await desktop.get("overview/list", q="KINDS of", tag="")
    assert "1 of 6 prompts" in found
    assert found.told["address"] == {"q": "KINDS of", "tag": "", "sort": ""}
    found = await desktop.get("overview/list", tag="test", sort="use")
    assert "1 of 6 prompts" in found
    assert found.told["address"] == {"q": "", "tag": "test", "sort": "use"}
    assert "No matching prompts" in await desktop.get("overview/list", q="no such prompt")


async def test_the_tab_opens_with_the_search_of_the_address(desktop: Desktop) -> None:
    shown = await desktop.get("overview", q="kinds", sort="stars")
    assert "1 of 6 prompts" in shown
    assert 'value="kinds"' in shown
    assert '<option value="stars" selected="">' in shown


async def test_the_details_of_a_prompt_tell_everything(desktop: Desktop) -> None:
    page = await desktop.get("overview/prompts/varied")
    for part in (
        "Number, min 0",
        "One of: kind, stern",
        "error &gt; 2000",
        "temperature",
        "Not available",
        "Optional",
        'href="?tab=engineer&amp;prompt=varied"',
    ):
        assert part in page, part


async def test_a_prompt_that_went_away_is_told(desktop: Desktop) -> None:
    with pytest.raises(NotFoundError):
        await desktop.get("overview/prompts/gone")


async def test_broken_files_are_told_and_their_prompts_stay(desktop: Desktop) -> None:
    for path in desktop.place.prompts.glob("*.yaml"):
        path.write_text("promt: typo\n", encoding="utf-8")
    shown = await desktop.get("overview")
    assert "6 prompt files failed to load" in shown
    assert "6 prompts" in shown


def test_no_prompts_have_their_own_words() -> None:
    assert "No prompts yet" in table(SearchResult([], []), SearchQuery(), total=0, limit=20)
