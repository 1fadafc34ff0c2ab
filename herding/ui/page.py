"""The page: a header and one tab a module. A new tab is its module and a line in each of three lists here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import HISTORY, INSIGHTS, NODES, PROMPTS, RUN, TOKENS, USAGE
from herding.orchestrator import Orchestrator
from herding.ui.access import secret
from herding.ui.access.tab import AccessTab
from herding.ui.compare.tab import CompareTab
from herding.ui.compare_links import CompareLinks
from herding.ui.engineer.session_state import SessionState
from herding.ui.engineer.tab import Engineer
from herding.ui.header import header, settled
from herding.ui.history.tab import HistoryTab
from herding.ui.history.tab import label as history_label
from herding.ui.insights.tab import InsightsTab
from herding.ui.kit.events import ANY_ROLE, GuardedBlocks, on, principal_of, requires
from herding.ui.kit.format import el, empty_state
from herding.ui.kit.identity import find_user, identity, login_link
from herding.ui.nodes.tab import NodesTab, Shown
from herding.ui.overview.tab import Overview
from herding.ui.usage.tab import UsageTab
from herding.ui.versions.tab import VersionsTab
from herding.ui.versions_links import VersionsLinks
from herding.values import Principal

LOOK_EVERY = 1.5
TABS = {
    "engineer": "Prompt engineer",
    "overview": "Overview",
    "versions": "Versions",
    "history": "History",
    "compare": "Compare",
    "insights": "Insights",
    "nodes": "Nodes",
    "usage": "Usage",
    "access": "Access",
}
RIGHTS = {
    "engineer": {RUN, PROMPTS},
    "overview": {RUN, PROMPTS},
    "versions": {PROMPTS},
    "history": {HISTORY},
    "compare": {RUN, PROMPTS},
    "insights": {INSIGHTS},
    "nodes": {NODES},
    "usage": {USAGE},
    "access": {TOKENS},
}
"""What a tab is good for nobody without."""

OPENING = el("p", "Herding opens …", cls="opening muted", role="status")
"""What stands in the place of the tabs until the server said which of them there are."""

# The address always names the open tab and the chosen prompt, so that it can be kept or shared.
_REMEMBER = """(value) => {
  const url = new URL(window.location);
  url.searchParams.set("%s", value ?? "");
  window.history.replaceState(null, "", url);
}"""


def build(orchestrator: Orchestrator) -> GuardedBlocks:
    """The UI of an orchestrator, not yet served."""
    demo = GuardedBlocks(title="Herding", analytics_enabled=False, fill_width=True)
    with demo:
        Page(demo, orchestrator)
    return demo


class Page:
    """Layout of the page, and the handlers that concern more than one tab."""

    def __init__(self, demo: gr.Blocks, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        with gr.Row(elem_classes=["top-row"]):
            self.head = gr.HTML(header([], None), elem_id="header")
            self.whom = gr.HTML(elem_id="whoami")
        self.nothing = gr.HTML(OPENING, elem_id="no-tabs")
        self.timer = gr.Timer(LOOK_EVERY, active=False)
        with gr.Tabs(elem_id="tabs", selected="engineer") as self.tabs:
            with self._tab("engineer") as self.tab_engineer:
                self.engineer = Engineer(orchestrator)
            with self._tab("overview") as self.tab_overview:
                self.overview = Overview(orchestrator)
            with self._tab("versions") as self.tab_versions:
                self.versions = VersionsTab(orchestrator)
            with self._tab("history") as self.tab_history:
                self.history = HistoryTab(orchestrator)
            with self._tab("compare") as self.tab_compare:
                self.compare = CompareTab(orchestrator)
            with self._tab("insights") as self.tab_insights:
                self.insights = InsightsTab(orchestrator)
            with self._tab("nodes") as self.tab_nodes:
                self.nodes = NodesTab(orchestrator)
            with self._tab("usage") as self.tab_usage:
                self.usage = UsageTab(orchestrator)
            with self._tab("access") as self.tab_access:
                self.access = AccessTab(orchestrator)
        self._wire(demo)

    def _tab(self, key: str) -> Any:
        """A tab that nobody sees yet: Gradio can show one later, but not hide it."""
        return gr.Tab(TABS[key], id=key, elem_id=f"tab-{key}", visible=False)

    def _wire(self, demo: gr.Blocks) -> None:
        engineer, now = self.engineer, {"queue": False}
        frame = [*self._tabs.values(), self.tabs, self.whom, self.nothing]
        landing = [*frame, self.head, self.timer, *self.overview.addressed, *engineer.outputs]
        on(demo.load, self.landed, [engineer.desk], landing, name="landed", **now)
        runner = engineer.runner
        models, followed = [engineer.desk, runner.model], [self.head, self.timer, runner.model, runner.note]
        on(self.timer.tick, self.follow, models, followed, name="follow", **now)
        on(self.tab_engineer.select, self.follow, models, followed, name="follow_engineer", **now)
        self._wire_tabs()
        for key, tab in self._tabs.items():
            tab.select(None, None, None, js=f"() => ({_REMEMBER % 'tab'})('{key}')")
        for picker in (engineer.picker, self.versions.picker, self.insights.picker):
            picker.change(None, [picker], None, js=_REMEMBER % "prompt")
        self._wire_opening()

    def _wire_tabs(self) -> None:
        """What is loaded when a tab is opened, and what ends when another one is."""
        overview, history, nodes, now = self.overview, self.history, self.nodes, {"queue": False}
        compare, asked = self.compare, [self.compare.state, self.compare.owner]
        versions = self.versions
        on(self.tab_overview.select, overview.listed, overview.filters, overview.outputs, name="overview", **now)
        on(self.tab_versions.select, versions.opened, [versions.state], versions.outputs, name="versions", **now)
        on(self.tab_history.select, history.opened, history.inputs, history.outputs, name="history", **now)
        on(self.tab_compare.select, compare.opened, asked, compare.outputs, name="compare", **now)
        insights, chosen = self.insights, [self.insights.picker, self.insights.days]
        on(self.tab_insights.select, insights.opened, chosen, insights.outputs, name="insights", **now)
        watched = [self.head, self.timer, *nodes.outputs]
        on(self.tab_nodes.select, self.watch, [nodes.shown], watched, name="watch", **now)
        on(nodes.timer.tick, self.watch, [nodes.shown], watched, name="watch_on", **now)
        on(nodes.earlier.click, self.earlier, [nodes.shown], watched, name="nodes_earlier", **now)
        on(nodes.later.click, self.later, [nodes.shown], watched, name="nodes_later", **now)
        on(self.tab_usage.select, self.usage.opened, [], self.usage.outputs, name="usage", **now)
        gone, drafts = self.usage.data.forgotten, [self.engineer.desk]
        on(gone.success, self.forgotten, drafts, self.engineer.outputs, name="drafts_forgotten", **now)
        on(self.tab_access.select, self.access.opened, self.access.inputs, self.access.outputs, name="access", **now)
        lasting = [nodes.timer, self.usage.timer, versions.timer, self.access.tokens.secret]
        for key, tab in self._tabs.items():
            on(tab.select, look_away(key), [], lasting, name=f"look_away_{key}", **now)

    def _wire_opening(self) -> None:
        """From the overview to the first tab, with a prompt."""
        overview, engineer, now = self.overview, self.engineer, {"queue": False}
        opens = [
            on(
                overview.open.click,
                overview.to_engineer,
                [overview.chosen],
                [self.tabs, engineer.picker],
                name="open_page",
                **now,
            ),
            on(overview.list.open, overview.open_card, [], [self.tabs, engineer.picker], name="open_card", **now),
            on(
                self.versions.open.click,
                self.versions.to_engineer,
                [self.versions.state],
                [self.tabs, engineer.picker],
                name="version_open",
                **now,
            ),
        ]
        for number, opened in enumerate(opens):
            chosen = on(
                opened.success, engineer.choose, engineer.inputs, engineer.outputs, name=f"opened_{number}", **now
            )
            engineer.elsewhere.follow(chosen)
        tabs = {"tabs": self.tabs, "compare": self.compare, "history": self.history, "engineer": engineer}
        CompareLinks(self._orchestrator, **tabs)
        VersionsLinks(
            self._orchestrator, tabs=self.tabs, versions=self.versions, overview=overview, compare=self.compare
        )

    @property
    def _tabs(self) -> dict[str, Any]:
        first = (self.tab_engineer, self.tab_overview, self.tab_versions, self.tab_history, self.tab_compare)
        last = (self.tab_insights, self.tab_nodes, self.tab_usage, self.tab_access)
        return dict(zip(TABS, (*first, *last), strict=True))

    @requires(ANY_ROLE)
    async def landed(self, desk: SessionState, request: gr.Request) -> list[Any]:
        """The page opens with the tabs of the role, at the tab and the prompt that its address names."""
        principal = principal_of(request)
        tab, prompt = (request.query_params.get(name) for name in ("tab", "prompt"))
        allowed = tabs_of(principal)
        selected = tab if tab in allowed else next(iter(allowed), "engineer")
        user = await find_user(principal, self._orchestrator.accounts)
        return [
            *(_tab_for(key, principal) for key in TABS),
            gr.update(selected=selected) if allowed else gr.update(visible=False),
            identity(principal, user),
            gr.update(value=_no_tabs(principal), visible=not allowed),
            *await self._look(principal),
            *self._sought(request.query_params, principal),
            *await self._first(prompt, desk, principal),
        ]

    def _sought(self, query: Mapping[str, str], principal: Principal) -> list[Any]:
        if not _runs(principal):
            return [gr.skip() for _ in self.overview.addressed]
        return self.overview.from_address(query)

    async def _first(self, prompt: str | None, desk: SessionState, principal: Principal) -> list[Any]:
        if not _runs(principal):
            return [gr.skip() for _ in self.engineer.outputs]
        return await self.engineer.show(prompt, desk, principal)

    async def _look(self, principal: Principal) -> list[Any]:
        """How the herd is; the page looks again only while something is on its way."""
        herd = await self._orchestrator.nodes.list_all(principal) if NODES in principal.rights else []
        return [header(herd, principal), gr.update(active=not settled(herd))]

    @requires(ANY_ROLE)
    async def follow(self, desk: SessionState, chosen: str | None, request: gr.Request) -> list[Any]:
        """How the herd is, and the models that are up by now: in this order, so that both tell the same."""
        principal = principal_of(request)
        head = await self._look(principal)
        if not _runs(principal):
            return [*head, gr.skip(), gr.skip()]
        return [*head, *await self.engineer.runner.models(desk, chosen, principal)]

    @requires(HISTORY)
    async def forgotten(self, desk: SessionState, request: gr.Request) -> list[Any]:
        """The drafts of the reader are deleted: what the first tab still holds of them goes, too."""
        principal = principal_of(request)
        if not _runs(principal) or desk.running is not None:
            return [gr.skip() for _ in self.engineer.outputs]
        desk.drafts.clear()
        return await self.engineer.show(desk.prompt.key if desk.prompt else None, desk, principal)

    @requires(NODES)
    async def watch(self, shown: Shown, request: gr.Request) -> list[Any]:
        """The herd, while the tab of the nodes is open."""
        principal = principal_of(request)
        herd = await self._orchestrator.nodes.list_all(principal)
        head = [header(herd, principal), gr.update(active=not settled(herd))]
        events = await self._orchestrator.nodes.events(principal)
        return [*head, *self.nodes.show(herd, events, shown, principal)]

    @requires(NODES)
    async def earlier(self, shown: Shown, request: gr.Request) -> list[Any]:
        """The page of nodes before."""
        return await self.watch(shown.turned(-1), request)

    @requires(NODES)
    async def later(self, shown: Shown, request: gr.Request) -> list[Any]:
        """The next page of nodes."""
        return await self.watch(shown.turned(1), request)


def look_away(opened: str) -> Callable[[], Awaitable[list[Any]]]:
    """The event of a tab: the timers of all others end, and a token that one of them shows.

    Its own goes on: at the start this event comes for the first tab after another one was opened by its address.
    """
    rests, goes_on = gr.update(active=False), gr.update(active=True)
    ends = {"nodes": rests, "usage": rests, "versions": rests, "access": secret.GONE}

    @requires(ANY_ROLE)
    async def away() -> list[Any]:
        """The tabs that are not open any more rest."""
        own = gr.skip() if opened == "access" else goes_on
        return [own if tab == opened else end for tab, end in ends.items()]

    return away


def tabs_of(principal: Principal) -> list[str]:
    """The tabs that somebody sees: those of the role that its rights fill with something."""
    return [key for key in TABS if key in principal.tabs and principal.rights >= RIGHTS[key]]


def _tab_for(key: str, principal: Principal) -> Any:
    label = history_label(principal) if key == "history" else TABS[key]
    return gr.update(visible=key in tabs_of(principal), label=label)


def _runs(principal: Principal) -> bool:
    """Whether the first tab has anything to show."""
    return principal.rights >= RIGHTS["engineer"]


def _no_tabs(principal: Principal) -> Markup:
    """What stands in the place of all tabs."""
    why = f"The role '{principal.role}' sees no tab of this page. Log in with another token, or ask an admin."
    return empty_state("Nothing to see here", why, login_link("button"))
