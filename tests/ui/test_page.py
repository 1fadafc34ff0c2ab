"""The page as a whole: the tabs of a role, and what its header tells."""

from __future__ import annotations

from tests.support.people import principal
from tests.ui.conftest import Desktop

RATER = principal("rita", "rater")


async def test_a_role_sees_its_tabs(desktop: Desktop) -> None:
    await desktop.fire("landed", who=RATER, tab="nodes")
    page = desktop.page
    shown = [
        desktop.prop(tab, "visible") for tab in (page.tab_engineer, page.tab_overview, page.tab_history, page.tab_nodes)
    ]
    assert shown == [True, True, True, False]
    assert desktop.prop(page.tabs, "selected") == "engineer"
    await desktop.fire("landed")
    assert desktop.prop(page.tab_nodes, "visible") is True


async def test_whoever_may_not_see_the_nodes_works_without_them(desktop: Desktop) -> None:
    await desktop.fire("landed", who=RATER, prompt="say")
    assert "echo" not in desktop.value(desktop.page.head)
    assert "rater" in desktop.value(desktop.page.head)
    for event in ("follow", "follow_engineer", "look_away_history"):
        assert desktop.event(event).fn.right in RATER.rights
    await desktop.fire("follow", who=RATER)
    await desktop.fire("run", who=RATER)
    assert desktop.value(desktop.page.engineer.runner.pane.text) == "one two three"
