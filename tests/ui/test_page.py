"""The page as a whole: the tabs of a role, and what its header tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from herding.access.operations import PROMPTS, RUN, TABS, TOKENS
from herding.ui import page
from herding.ui.page import TABS as PAGE_TABS
from herding.ui.page import visible_tabs
from herding.values import Principal
from tests.support.herding import ADMIN, GUEST, NOBODY
from tests.support.people import principal
from tests.ui.conftest import Desktop

RATER = principal("rita", "rater")


def seen(desktop: Desktop) -> list[str]:
    return [key for key, tab in desktop.page.items.items() if desktop.prop(tab, "visible")]


def test_the_tabs_are_those_that_roles_may_name() -> None:
    assert tuple(tab.key for tab in PAGE_TABS) == TABS
    folders = {path.parent.name for path in Path(page.__file__).parent.glob("*/tab.py")}
    assert folders == set(TABS), "add the name of a new folder to access.operations.TABS"


async def test_a_role_sees_its_tabs(desktop: Desktop) -> None:
    await desktop.fire("page_load", who=RATER, tab="nodes")
    assert seen(desktop) == ["engineer", "overview", "history", "review", "compare", "usage"]
    assert desktop.prop(desktop.page.tabs, "selected") == "review"
    await desktop.fire("page_load")
    assert seen(desktop) == list(TABS)


def test_a_tab_without_the_right_that_fills_it_is_not_shown() -> None:
    assert visible_tabs(ADMIN) == list(TABS)
    assert visible_tabs(replace(ADMIN, rights=frozenset({TOKENS}))) == ["access"]
    shown = visible_tabs(replace(GUEST, tabs=TABS))
    assert {"engineer", "usage"} <= set(shown)
    assert not {"access", "insights", "knowledge"} & set(shown)


@pytest.mark.parametrize("rights", [frozenset(), frozenset({RUN}), frozenset({RUN, PROMPTS})])
async def test_whoever_sees_no_tab_reads_where_to_log_in(desktop: Desktop, rights: frozenset[str]) -> None:
    nobody = replace(NOBODY, rights=rights)
    await desktop.fire("page_load", who=nobody)
    assert seen(desktop) == []
    assert desktop.prop(desktop.page.tabs, "visible") is False
    assert desktop.prop(desktop.page.nothing, "visible") is True
    assert 'href="login"' in desktop.value(desktop.page.nothing)
    await desktop.fire("follow", who=nobody)


async def test_the_page_says_that_it_opens_until_its_tabs_are_there(desktop: Desktop) -> None:
    assert "Loading" in desktop.page.nothing.value
    await desktop.fire("page_load")
    assert desktop.prop(desktop.page.nothing, "visible") is False


async def test_a_history_of_ones_own_is_called_so(desktop: Desktop) -> None:
    await desktop.fire("page_load", who=GUEST)
    assert desktop.prop(desktop.page.items["history"], "label") == "My history"
    await desktop.fire("page_load")
    assert desktop.prop(desktop.page.items["history"], "label") == "History"


async def test_whoever_may_not_see_the_nodes_works_without_them(desktop: Desktop) -> None:
    await desktop.fire("page_load", who=RATER, prompt="say")
    assert "echo" not in desktop.value(desktop.page.head)
    assert "rater" in desktop.value(desktop.page.whom)
    await desktop.fire("follow", who=RATER)
    assert 'id="run"' in await desktop.get("engineer", who=RATER, prompt="say")


async def test_a_stranger_to_the_page_gets_nothing(desktop: Desktop) -> None:
    """Events for everybody show what the role allows, which may be nothing."""
    who: Principal = NOBODY
    await desktop.fire("page_load", who=who)
    assert desktop.value(desktop.page.head).count("herd-line") == 0
