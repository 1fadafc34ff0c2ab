"""The tab with all prompts."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from herding.access.operations import SAVE
from herding.errors import NotFoundError
from herding.ui.engineer.starters import STARTERS
from herding.ui.overview.search import SearchQuery, SearchResult
from herding.ui.overview.table import table
from tests.support.herding import ADMIN, GUEST
from tests.support.people import principal
from tests.ui.conftest import Desktop


def row(html: str, key: str) -> str:
    """The row of a prompt."""
    return next(found for found in re.findall(r"<tr.*?</tr>", html, re.DOTALL) if f'data-row="{key}"' in found)


async def test_all_prompts_are_listed_with_what_serves_them(desktop: Desktop) -> None:
    await desktop.run()
    shown = await desktop.get("overview")
    assert "6 prompts" in shown
    varied = row(shown.html, "varied")
    assert 'title="echo: echo\nnowhere/model: not available"' in varied
    assert "+1" in varied
    assert "1 of 2 models available" in varied
    assert "latest v1" in varied
    assert '<td class="use number">1</td>' in row(shown.html, "say")


async def test_a_row_tells_the_rating_and_the_published_version(desktop: Desktop) -> None:
    outcome = await desktop.run()
    orchestrator = desktop.place.orchestrator
    await orchestrator.feedback.rate(outcome.request_id, 4, ADMIN)
    content = (await orchestrator.prompts.get("say", ADMIN)).content
    await orchestrator.studio.move_label("say", "prod", 1, ADMIN)
    await orchestrator.studio.save("say", {**content, "description": "Second"}, ADMIN)
    shown = row((await desktop.get("overview")).html, "say")
    assert "4.0" in shown
    assert " n=1" in shown
    assert ">v1</span>" in shown
    assert "latest v2" in shown


async def test_search_and_tag_narrow_the_list_and_stay_in_the_address(desktop: Desktop) -> None:
    found = await desktop.get("overview/list", q="KINDS of", tag="")
    assert "1 of 6 prompts" in found
    assert found.told["address"] == {"q": "KINDS of", "tag": "", "sort": "", "folder": ""}
    found = await desktop.get("overview/list", tag="test", sort="use")
    assert "1 of 6 prompts" in found
    assert found.told["address"] == {"q": "", "tag": "test", "sort": "use", "folder": ""}
    assert "No matching prompts" in await desktop.get("overview/list", q="no such prompt")


async def test_the_tab_opens_with_the_search_and_the_drawer_of_the_address(desktop: Desktop) -> None:
    shown = await desktop.get("overview", q="kinds", sort="-stars", prompt="varied")
    assert "1 of 6 prompts" in shown
    assert 'value="kinds"' in shown
    assert 'name="sort" value="-stars"' in shown
    assert 'aria-current="true"' in row(shown.html, "varied")
    assert 'id="overview-open"' in shown
    nothing = await desktop.get("overview", prompt="ghost")
    assert 'id="overview-open"' not in nothing


async def test_a_head_sorts_and_sorts_the_other_way_round(desktop: Desktop) -> None:
    def head(html: str, name: str) -> str:
        return next(found for found in re.findall(r"<th.*?</th>", html) if f"overview-sort-{name}" in found)

    await desktop.run()
    shown = await desktop.get("overview/list", sort="use")
    assert 'aria-sort="descending"' in head(shown.html, "use")
    assert 'value="-use"' in head(shown.html, "use")
    assert "aria-sort" not in head(shown.html, "name")
    assert 'value="name"' in head(shown.html, "name")
    assert re.findall(r'data-row="(\w+)"', shown.html)[0] == "say"
    shown = await desktop.get("overview/list", sort="-use")
    assert 'aria-sort="ascending"' in head(shown.html, "use")
    assert 'value="use"' in head(shown.html, "use")
    assert re.findall(r'data-row="(\w+)"', shown.html)[-1] == "say"


async def test_a_text_that_was_found_in_the_prompt_is_shown(desktop: Desktop) -> None:
    shown = row((await desktop.get("overview/list", q="kind.")).html, "chat")
    assert "Be <mark>kind.</mark>" in shown
    assert "<mark>" not in row((await desktop.get("overview/list", q="varied")).html, "varied")


async def test_the_drawer_tells_everything_and_leads_on(desktop: Desktop) -> None:
    page = await desktop.get("overview/prompts/varied")
    assert page.told["address"] == {"prompt": "varied"}
    for part in (
        "Number, min 0",
        "One of: kind, stern",
        "error &gt; 2000",
        "temperature",
        "Not available",
        "Optional",
        "All versions (1)",
        *(f'href="?tab={tab}&amp;prompt=varied"' for tab in ("engineer", "compare", "history", "versions", "insights")),
        "curl -sS",
        "import httpx",
        "prompt:varied",
    ):
        assert part in page, part


async def test_the_drawer_lists_versions_with_their_labels(desktop: Desktop) -> None:
    studio, found = desktop.place.orchestrator.studio, await desktop.place.orchestrator.prompts.get("say", ADMIN)
    for number in range(2, 7):
        await studio.save("say", {**found.content, "description": f"Text {number}"}, ADMIN, message=f"change {number}")
    await studio.move_label("say", "prod", 2, ADMIN)
    page = await desktop.get("overview/prompts/say")
    listed = re.findall(r"<b>v(\d)</b>", page.html)
    assert listed == ["6", "5", "4", "2"]
    assert "change 6" in page
    assert "change 3" not in page
    limited = replace(principal("ada", "user"), prompts=("say@prod",))
    page = await desktop.get("overview/prompts/say", who=limited)
    assert re.findall(r"<b>v(\d)</b>", page.html) == ["2"]


async def test_links_are_those_of_the_tabs_that_the_role_sees(desktop: Desktop) -> None:
    page = await desktop.get("overview/prompts/say", who=GUEST)
    assert "?tab=insights" not in page
    assert "HERDING_TOKEN" not in page


async def test_a_prompt_starts_from_a_template(desktop: Desktop) -> None:
    shown = await desktop.get("overview")
    for name, starter in STARTERS.items():
        assert f'href="?tab=engineer&amp;new={name}"' in shown
        assert starter.label in shown
    assert "New from template" not in await desktop.get("overview", who=GUEST)


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


async def test_files_that_did_not_load_are_told_to_those_who_may_save_them(desktop: Desktop) -> None:
    desktop.place.write("shop/wrong", "name: [")
    await desktop.place.orchestrator.load()
    assert "prompts/shop/wrong.yaml" in await desktop.get("overview")
    clerk = replace(ADMIN, prompts=("shop/*",))
    assert "prompts/shop/wrong.yaml" in await desktop.get("overview", who=clerk)
    for who in (replace(ADMIN, prompts=("say",)), replace(ADMIN, rights=ADMIN.rights - {SAVE})):
        assert "failed to load" not in await desktop.get("overview", who=who)
