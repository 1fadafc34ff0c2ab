"""The page: a header, and the tabs that `access.operations.TABS` names, each with a folder of its name here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Final, TypeVar, cast

import gradio as gr
from markupsafe import Markup
from starlette.routing import Route

from herding.access import operations
from herding.access.operations import NODES
from herding.orchestrator import Orchestrator
from herding.ui.header import header, is_settled
from herding.ui.kit.events import GuardedBlocks, for_all_roles, on, principal_of
from herding.ui.kit.format import el, empty_state
from herding.ui.kit.identity import find_user, identity, login_link
from herding.ui.kit.views import View
from herding.values import NodeInfo, Principal


def _tab(key: str) -> type[View]:
    """Return the class of a tab, by its key."""
    found = vars(import_module(f"herding.ui.{key}.tab")).values()
    return next(one for one in found if isinstance(one, type) and vars(one).get("key") == key)


TABS: Final[Sequence[type[View]]] = tuple(map(_tab, operations.TABS))

REFRESH_S = 1.5
LOADING = el("p", "Loading…", cls="opening muted", role="status")

# The address always names the open tab and the selected prompt, so that it can be bookmarked or shared.
_SET_QUERY = """(value) => {
  const url = new URL(window.location);
  url.searchParams.set("%s", value ?? "");
  window.history.replaceState(null, "", url);
}"""


T = TypeVar("T", bound=View)


def build(orchestrator: Orchestrator) -> tuple[GuardedBlocks, Page]:
    """Return the UI of an orchestrator, not yet mounted."""
    demo = GuardedBlocks(title="Herding", analytics_enabled=False, fill_width=True)
    with demo:
        page = Page(demo, orchestrator)
    return demo, page


class Page:
    """Layout of the page, and the handlers that concern more than one tab."""

    def __init__(self, demo: gr.Blocks, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        with gr.Row(elem_classes=["top-row"]):
            self.head = gr.HTML(header([], None), elem_id="header", apply_default_css=False)
            self.whom = gr.HTML(elem_id="whoami", apply_default_css=False)
        self.nothing = gr.HTML(LOADING, elem_id="no-tabs", apply_default_css=False)
        self.timer = gr.Timer(REFRESH_S, active=False)
        self.items: dict[str, gr.Tab] = {}
        self._tabs: dict[type[View], View] = {}
        with gr.Tabs(elem_id="tabs", selected=TABS[0].key) as self.tabs:
            for tab in TABS:
                # Hidden until the role is known: Gradio can show a tab later, but not hide it in time.
                with gr.Tab(tab.label, id=tab.key, elem_id=f"tab-{tab.key}", visible=False) as item:
                    self.items[tab.key], self._tabs[tab] = item, tab(orchestrator)
        self._wire_load(demo)
        self._wire_tabs()

    def routes(self) -> Iterator[Route]:
        """Yield the routes of all tabs."""
        for tab in self._tabs.values():
            yield from tab.routes()

    def get(self, tab: type[T]) -> T:
        """Return the tab of a class."""
        return cast(T, self._tabs[tab])

    def _wire_load(self, demo: gr.Blocks) -> None:
        frame = [*self.items.values(), self.tabs, self.whom, self.nothing, self.head, self.timer]
        on(demo.load, self.load, frame, name="page_load")
        on(self.timer.tick, self.follow, [self.head, self.timer], name="follow")

    def _wire_tabs(self) -> None:
        """Keep the open tab in the address."""
        for key, item in self.items.items():
            item.select(None, None, None, js=f"() => ({_SET_QUERY % 'tab'})('{key}')")

    @for_all_roles
    async def load(self, request: gr.Request) -> list[Any]:
        """Show the tabs of the role, with the tab and the prompt that the address names."""
        principal = principal_of(request)
        visible = visible_tabs(principal)
        selected = first_tab(principal, request.query_params.get("tab", ""))
        user = await find_user(principal, self._orchestrator.accounts)
        return [
            *(gr.update(visible=tab.is_visible(principal), label=tab.title(principal)) for tab in TABS),
            gr.update(selected=selected) if visible else gr.update(visible=False),
            identity(principal, user),
            gr.update(value=_no_tabs(principal), visible=not visible),
            *self._header(await self._nodes(principal), principal),
        ]

    async def _nodes(self, principal: Principal) -> Sequence[NodeInfo]:
        return await self._orchestrator.nodes.list_all(principal) if NODES in principal.rights else []

    @staticmethod
    def _header(herd: Sequence[NodeInfo], principal: Principal) -> list[Any]:
        """Return the updates of the header and its timer, which runs only while a node is starting or loading."""
        return [header(herd, principal), gr.update(active=not is_settled(herd))]

    @for_all_roles
    async def follow(self, request: gr.Request) -> list[Any]:
        """Update the header while a node is starting or loading."""
        principal = principal_of(request)
        return self._header(await self._nodes(principal), principal)


def visible_tabs(principal: Principal) -> list[str]:
    """Return the keys of the tabs that a principal sees."""
    return [tab.key for tab in TABS if tab.is_visible(principal)]


def tab_names(principal: Principal) -> dict[str, str]:
    """Return the names of the tabs that a principal sees, by their keys."""
    return {tab.key: tab.title(principal) for tab in TABS if tab.is_visible(principal)}


def first_tab(principal: Principal, asked: str) -> str:
    """Return the tab that opens first: the one that the address names, else that of the role."""
    visible = visible_tabs(principal)
    first = next(iter(visible), TABS[0].key)
    return next((name for name in (asked, principal.first_tab) if name in visible), first)


def _no_tabs(principal: Principal) -> Markup:
    text = f"The role '{principal.role}' has no tabs. Log in with another token, or ask an admin."
    return empty_state("No access", text, login_link("button"))
