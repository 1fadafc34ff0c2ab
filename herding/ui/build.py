"""The page: a header and one tab a module. A new tab is its module and a line in each of two lists here."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import NODES, RUN
from herding.orchestrator import Orchestrator
from herding.ui.desk import Desk
from herding.ui.engineer import Engineer
from herding.ui.guard import GuardedBlocks, needs, on, who
from herding.ui.header import header, settled
from herding.ui.history import History
from herding.ui.nodes import Nodes, Shown
from herding.ui.overview import Overview
from herding.values import Principal

LOOK_EVERY = 1.5
TABS = {"engineer": "Prompt engineer", "overview": "Overview", "history": "History", "nodes": "Nodes"}

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
        self.head = gr.HTML(header([], None), elem_id="header")
        self.timer = gr.Timer(LOOK_EVERY, active=False)
        with gr.Tabs(elem_id="tabs", selected="engineer") as self.tabs:
            with self._tab("engineer") as self.tab_engineer:
                self.engineer = Engineer(orchestrator)
            with self._tab("overview") as self.tab_overview:
                self.overview = Overview(orchestrator)
            with self._tab("history") as self.tab_history:
                self.history = History(orchestrator)
            with self._tab("nodes") as self.tab_nodes:
                self.nodes = Nodes(orchestrator)
        self._wire(demo)

    def _tab(self, key: str) -> Any:
        return gr.Tab(TABS[key], id=key, elem_id=f"tab-{key}")

    def _wire(self, demo: gr.Blocks) -> None:
        engineer, now = self.engineer, {"queue": False}
        landing = [*self._tabs.values(), self.tabs, self.head, self.timer, *engineer.outputs]
        on(demo.load, self.landed, [engineer.desk], landing, name="landed", **now)
        runner = engineer.runner
        models, followed = [engineer.desk, runner.model], [self.head, self.timer, runner.model, runner.note]
        on(self.timer.tick, self.follow, models, followed, name="follow", **now)
        on(self.tab_engineer.select, self.follow, models, followed, name="follow_engineer", **now)
        overview, history, nodes = self.overview, self.history, self.nodes
        on(self.tab_overview.select, overview.listed, overview.filters, overview.outputs, name="overview", **now)
        on(self.tab_history.select, history.opened, history.inputs, history.outputs, name="history", **now)
        watched = [self.head, self.timer, *nodes.outputs]
        on(self.tab_nodes.select, self.watch, [nodes.shown], watched, name="watch", **now)
        on(nodes.timer.tick, self.watch, [nodes.shown], watched, name="watch_on", **now)
        for key, tab in self._tabs.items():
            tab.select(None, None, None, js=f"() => ({_REMEMBER % 'tab'})('{key}')")
            if key != "nodes":
                on(tab.select, self.look_away, [], [self.nodes.timer], name=f"look_away_{key}", **now)
        engineer.picker.change(None, [engineer.picker], None, js=_REMEMBER % "prompt")
        self._wire_opening()

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
        ]
        for number, opened in enumerate(opens):
            on(opened.success, engineer.choose, engineer.inputs, engineer.outputs, name=f"opened_{number}", **now)

    @property
    def _tabs(self) -> dict[str, Any]:
        tabs = (self.tab_engineer, self.tab_overview, self.tab_history, self.tab_nodes)
        return dict(zip(TABS, tabs, strict=True))

    @needs(RUN)
    async def landed(self, desk: Desk, request: gr.Request) -> list[Any]:
        """The page opens with the tabs of the role, at the tab and the prompt that its address names."""
        principal = who(request)
        tab, prompt = (request.query_params.get(name) for name in ("tab", "prompt"))
        allowed = [key for key in TABS if key in principal.tabs]
        selected = tab if tab in allowed else next(iter(allowed), "engineer")
        shown = [gr.update(visible=key in allowed) for key in TABS]
        look = await self._look(principal)
        return [*shown, gr.update(selected=selected), *look, *await self.engineer.show(prompt, desk, principal)]

    async def _look(self, principal: Principal) -> list[Any]:
        """How the herd is; the page looks again only while something is on its way."""
        herd = await self._orchestrator.nodes(principal) if NODES in principal.rights else []
        return [header(herd, principal), gr.update(active=not settled(herd))]

    @needs(RUN)
    async def follow(self, desk: Desk, chosen: str | None, request: gr.Request) -> list[Any]:
        """How the herd is, and the models that are up by now: in this order, so that both tell the same."""
        head = await self._look(who(request))
        return [*head, *await self.engineer.runner.models(desk, chosen, who(request))]

    @needs(NODES)
    async def watch(self, shown: Shown, request: gr.Request) -> list[Any]:
        """The herd, while the tab of the nodes is open."""
        principal = who(request)
        herd = await self._orchestrator.nodes(principal)
        head = [header(herd, principal), gr.update(active=not settled(herd))]
        return [*head, *self.nodes.show(herd, shown, principal)]

    @needs(RUN)
    async def look_away(self) -> Any:
        """The tab of the nodes is not open any more."""
        return gr.update(active=False)
