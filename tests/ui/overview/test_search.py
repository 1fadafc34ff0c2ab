"""Finding prompts among many."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from herding.ui.overview import search as finding
from herding.ui.overview.search import (
    MODELS,
    NAME,
    PAGE_SIZE,
    PUBLISHED,
    RECENT,
    STARS,
    TOP,
    USE,
    SearchQuery,
    find,
    folders,
)
from herding.values import Parameters, PromptInfo, PromptStats
from tests.ui.conftest import Desktop

EMPTY = PromptInfo("", "", "", (), "dev", False, ("echo",), {}, "", Parameters(), {}, {}, PromptStats())
PROMPTS = [
    replace(
        EMPTY,
        key="cafe",
        name="Café Crème",
        description="Menus",
        tags=("food",),
        stats=PromptStats(1, 1, 5.0, 30),
        target_models=("org/zebra",),
    ),
    replace(
        EMPTY,
        key="team/jay",
        name="jay",
        body="You are Jay, a TRAINER.",
        labels={"prod": 3},
        stats=PromptStats(9, 4, 5.0, 10),
    ),
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
        (MODELS, ["teams", "team/jay", "team/game/zoo", "cafe"]),
        (PUBLISHED, ["team/jay", "teams", "cafe", "team/game/zoo"]),
    ],
)
def test_the_orders(order: str, found: list[str]) -> None:
    assert keys(order=order) == found


def test_an_order_is_reversed_and_equal_ones_stay_by_name() -> None:
    assert keys(order=NAME, reverse=True) == ["team/game/zoo", "team/jay", "cafe", "teams"]
    assert keys(order=USE, reverse=True) == ["teams", "cafe", "team/game/zoo", "team/jay"]
    assert keys(order=MODELS, reverse=True) == ["cafe", "teams", "team/jay", "team/game/zoo"]
    assert SearchQuery.parse("", "", "-use", "").sort == "-use"
    assert SearchQuery.parse("", "", "-nothing", "").sort == NAME


def test_names_come_before_texts_in_a_search() -> None:
    prompts = [replace(EMPTY, key="a", name="Alpha", body="say hello"), replace(EMPTY, key="hello", name="Zeta")]
    found = find(prompts, SearchQuery("hello"))
    assert [prompt.key for prompt in found.prompts] == ["hello", "a"]
    assert [prompt.key for prompt in find(prompts, SearchQuery("hello", order=USE)).prompts] == ["a", "hello"]


def test_an_excerpt_shows_the_place_that_was_found() -> None:
    prompt = replace(EMPTY, key="a", name="Alpha", body="x " * 60 + "needle <b> " + "y " * 90)
    found = str(finding.excerpt(prompt, "alpha NEEDLE"))
    assert "<mark>needle</mark> &lt;b&gt;" in found
    assert found.startswith("… x")
    assert len(found) < 200
    assert finding.excerpt(prompt, "alpha") is None
    assert finding.excerpt(prompt, "") is None


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
    assert '>All<span class="folder-count">4<' in shown
    assert 'value="team" aria-current="true"' in shown
    assert '>game<span class="folder-count">1<' in shown
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


async def many(desktop: Desktop, count: int = 95) -> None:
    text = (desktop.place.prompts / "say.yaml").read_text(encoding="utf-8")
    for number in range(count):
        path = desktop.place.prompts / "lot" / f"p{number:02}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.replace("name: Say", f"name: Lot {number:02}"), encoding="utf-8")


async def test_only_a_page_of_prompts_is_drawn(desktop: Desktop) -> None:
    await many(desktop)
    shown = await desktop.get("overview")
    assert shown.html.count("data-row=") == PAGE_SIZE
    assert "101 prompts · first 50 shown" in shown
    more = await desktop.get("overview/list", limit=2 * PAGE_SIZE)
    assert more.html.count("data-row=") == 2 * PAGE_SIZE
    assert "Show 1 more" in more
    everything = await desktop.get("overview/list", limit=3 * PAGE_SIZE)
    assert everything.html.count("data-row=") == 101
    assert "more<" not in everything
    assert "1 of 101 prompts" in await desktop.get("overview/list", q="lot 07")


async def test_a_folder_is_entered_and_left(desktop: Desktop) -> None:
    await many(desktop, 3)
    assert 'value="lot"' in await desktop.get("overview")
    assert "3 of 9 prompts" in await desktop.get("overview/list", folder="lot")
    assert "1 prompt in other folders" in await desktop.get("overview/list", folder="lot", q="varied")
    assert "1 of 9 prompts" in await desktop.get("overview/list", folder="/", q="varied")
    assert "9 prompts" in await desktop.get("overview/list", folder="no/such")


async def test_the_last_used_prompt_comes_first(desktop: Desktop) -> None:
    await desktop.run()
    shown = (await desktop.get("overview/list", sort=RECENT)).html
    assert shown.index('data-row="say"') < shown.index('data-row="chat"')
    assert "<time" in shown
