"""Finding prompts among many."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from herding.ui.overview import search as finding
from herding.ui.overview.search import NAME, PAGE_SIZE, RECENT, STARS, TOP, USE, SearchQuery, find, folders
from herding.values import Parameters, PromptInfo, PromptStats
from tests.ui.conftest import Desktop

EMPTY = PromptInfo("", "", "", (), "dev", False, ("echo",), {}, "", Parameters(), {}, {}, PromptStats())
PROMPTS = [
    replace(
        EMPTY, key="cafe", name="Café Crème", description="Menus", tags=("food",), stats=PromptStats(1, 1, 5.0, 30)
    ),
    replace(EMPTY, key="team/jay", name="jay", body="You are Jay, a TRAINER.", stats=PromptStats(9, 4, 5.0, 10)),
    replace(EMPTY, key="team/game/zoo", name="Zoo", tags=("game", "food"), stats=PromptStats(3, 2, 2.0, 20)),
    replace(EMPTY, key="teams", name="Ährenfeld"),
]


def keys(**wish: Any) -> list[str]:
    return [prompt.key for prompt in find(PROMPTS, SearchQuery(**wish)).prompts]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("cafe creme", ["cafe"]),
        ("CRÈME café", ["cafe"]),
        ("trainer", ["team/jay"]),
        ("jay menus", []),
        ("food", ["cafe", "team/game/zoo"]),
        ("team/", ["team/jay", "team/game/zoo"]),
        ("ahren", ["teams"]),
        ("  ", ["teams", "cafe", "team/jay", "team/game/zoo"]),
    ],
)
def test_all_words_occur_somewhere_without_case_and_accents(search: str, found: list[str]) -> None:
    assert keys(search=search) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        (NAME, ["teams", "cafe", "team/jay", "team/game/zoo"]),
        (USE, ["team/jay", "team/game/zoo", "cafe", "teams"]),
        (STARS, ["team/jay", "cafe", "team/game/zoo", "teams"]),
        (RECENT, ["cafe", "team/game/zoo", "team/jay", "teams"]),
    ],
)
def test_the_orders(order: str, found: list[str]) -> None:
    assert keys(order=order) == found


def test_numbers_in_names_count_as_numbers() -> None:
    names = ["a10", "a2", "A 1", "a010b", "é", "a2b", "9" * 5000]
    assert sorted(names, key=finding.natural_key) == ["9" * 5000, "a2", "a2b", "a10", "a010b", "A 1", "é"]


def test_folders_hold_what_is_below_them() -> None:
    everything = [prompt.key for prompt in PROMPTS]
    assert folders(everything, TOP) == {"team": 2}
    assert folders(everything, "team") == {"team/game": 1}
    assert folders(everything, "team/game") == {}
    assert keys(folder="team") == ["team/jay", "team/game/zoo"]
    assert keys(folder="tea") == []
    assert keys(folder="team", tag="food") == ["team/game/zoo"]


def test_the_way_to_a_folder_is_shown_with_counts() -> None:
    shown = finding.folder_nav(find(PROMPTS, SearchQuery(folder="team")), "team")
    assert 'data-pick="/">All<span class="folder-count">4<' in shown
    assert 'data-pick="team" aria-current="true">team<' in shown
    assert 'data-pick="team/game">game<span class="folder-count">1<' in shown
    assert finding.folder_nav(find(PROMPTS[:1], SearchQuery()), TOP) == ""
    many = [replace(EMPTY, key=f"f{number:03}/x") for number in range(50)]
    assert "and 20 folders more" in finding.folder_nav(find(many, SearchQuery()), TOP)


@pytest.mark.parametrize("junk", [None, 7, ["x"], {"a": 1}])
def test_what_no_page_sends_counts_as_nothing(junk: Any) -> None:
    wish = SearchQuery.parse(None, None, None if isinstance(junk, list | dict) else junk, None)
    assert wish == SearchQuery()
    assert len(SearchQuery.parse("x" * 10_000, None, None, None).search) == finding.MAX_SEARCH


def test_a_thousand_prompts_are_searched_at_once() -> None:
    text = "Write about é things. " * 40
    many = [replace(EMPTY, key=f"team{n % 20}/p{n}", name=f"Prompt {n}", body=text + str(n)) for n in range(1000)]
    began = time.thread_time()
    assert len(find(many, SearchQuery("things 999")).prompts) == 1
    assert time.thread_time() - began < 10


async def many(desktop: Desktop, count: int = 45) -> None:
    text = (desktop.place.prompts / "say.yaml").read_text(encoding="utf-8")
    for number in range(count):
        path = desktop.place.prompts / "lot" / f"p{number:02}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("name: Say", f"name: Lot {number:02}"), encoding="utf-8")


async def test_only_a_page_of_cards_is_drawn(desktop: Desktop) -> None:
    await many(desktop)
    overview = desktop.page.overview
    await desktop.fire("overview")
    assert desktop.value(overview.list).count("<li") == PAGE_SIZE
    assert "51 prompts · first 20 shown" in desktop.value(overview.list)
    await desktop.fire("overview_more")
    assert desktop.value(overview.list).count("<li") == 2 * PAGE_SIZE
    assert desktop.value(overview.more) == "Show 11 more"
    await desktop.fire("overview_more")
    assert desktop.value(overview.list).count("<li") == 51
    assert desktop.prop(overview.more, "visible") is False
    desktop.set(overview.search, "lot 07")
    await desktop.fire("overview_filter")
    assert "1 of 51 prompts" in desktop.value(overview.list)


async def test_a_folder_is_entered_and_left(desktop: Desktop) -> None:
    await many(desktop, 3)
    overview = desktop.page.overview
    await desktop.fire("overview")
    assert 'data-pick="lot"' in desktop.value(overview.folders)
    await desktop.fire("overview_folder", "lot")
    assert "3 of 9 prompts" in desktop.value(overview.list)
    desktop.set(overview.search, "varied")
    await desktop.fire("overview_filter")
    assert "1 prompt in other folders" in desktop.value(overview.list)
    await desktop.fire("overview_folder", "/")
    assert "1 of 9 prompts" in desktop.value(overview.list)
    await desktop.fire("overview_folder", "no/such")
    assert desktop.value(overview.folder) == TOP


async def test_the_address_tells_what_is_looked_for(desktop: Desktop) -> None:
    await desktop.fire("page_load", tab="overview", q="KINDS", sort="stars")
    overview = desktop.page.overview
    assert (desktop.value(overview.search), desktop.value(overview.order)) == ("KINDS", "stars")
    await desktop.fire("overview_filter")
    assert "1 of 6 prompts" in desktop.value(overview.list)
    await desktop.fire("page_load", sort="<script>")
    assert desktop.value(overview.order) == "stars"


async def test_the_last_used_prompt_comes_first(desktop: Desktop) -> None:
    await desktop.fire("run")
    desktop.set(desktop.page.overview.order, RECENT)
    await desktop.fire("overview_filter")
    shown = desktop.value(desktop.page.overview.list)
    assert shown.index('data-pick="say"') < shown.index('data-pick="chat"')
    assert "last <time" in shown
