"""The layout of the Nodes tab: the nodes page by page, the form for a new one, and the latest events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import MANAGE_NODES, NODES
from herding.orchestrator import Orchestrator
from herding.ui.kit.format import chip, el, empty_state, time_tag
from herding.ui.kit.tab import Tab
from herding.ui.nodes.form import NodeForm
from herding.ui.nodes.slot import NodeSlot
from herding.ui.nodes.state import PAGE, ListedNode, NodesState
from herding.values import NodeEvent, NodeInfo, Principal

REFRESH_SECONDS = 3.0
MAX_EVENTS = 30
_EVENT_TONES = {"ejected": "bad", "misconfigured": "bad", "resting": "warn", "recovered": "good"}


class NodesTab(Tab):
    """The tab; the page calls `show` while it is open."""

    key = "nodes"
    label = "Nodes"
    rights = frozenset({NODES})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.state = gr.State(NodesState())
        self.timer = gr.Timer(REFRESH_SECONDS, active=False)
        self.timers = [self.timer]
        self.summary = gr.HTML(elem_id="nodes-summary")
        self.form = NodeForm(orchestrator)
        with gr.Row(elem_classes=["herd"]):
            self.slots = [NodeSlot(orchestrator, number, self.state) for number in range(PAGE)]
        with gr.Row(visible=False, elem_classes=["pager"]) as self.pager:
            self.earlier = gr.Button("‹ Previous", size="sm", scale=0, min_width=100, elem_id="nodes-earlier")
            self.place = gr.HTML(elem_id="nodes-place")
            self.later = gr.Button("Next ›", size="sm", scale=0, min_width=100, elem_id="nodes-later")
        self.events = gr.HTML(elem_id="nodes-events")

    @property
    def outputs(self) -> list[Any]:
        """The components that a refresh redraws."""
        pager = [self.pager, self.place, self.earlier, self.later]
        slots = [part for slot in self.slots for part in slot.outputs]
        return [self.state, self.timer, self.summary, self.form.box, *pager, self.events, *slots]

    def show(
        self, nodes: Sequence[NodeInfo], events: Sequence[NodeEvent], state: NodesState, principal: Principal
    ) -> list[Any]:
        """Return updates of `outputs` for the current nodes and events, and keep refreshing."""
        can_manage = MANAGE_NODES in principal.rights
        added = self._orchestrator.registry.names(principal) if can_manage else frozenset()
        first = min(state.first, max(0, len(nodes) - 1) // PAGE * PAGE)
        page = nodes[first : first + PAGE]
        listed = tuple(ListedNode(node.name, node.status.offers, node.name in added) for node in page)
        before = dict(enumerate(state.nodes))
        slots: list[Any] = []
        for number, slot in enumerate(self.slots):
            shown = number < len(page)
            slots += slot.show(page[number], listed[number], before.get(number), principal) if shown else slot.hide()
        return [
            NodesState(listed, can_manage, first),
            gr.update(active=True),
            _summary(nodes),
            gr.skip() if state.can_manage == can_manage else gr.update(visible=can_manage),
            *_pager(first, len(nodes)),
            _events(events),
            *slots,
        ]


def _summary(nodes: Sequence[NodeInfo]) -> Markup:
    if not nodes:
        return empty_state("No nodes", "Add a node to the nodes file, then restart Herding.")
    ready = sum(node.answers for node in nodes)
    return el("p", f"{ready} of {len(nodes)} nodes ready. Refreshed every {REFRESH_SECONDS:.0f} seconds.", cls="muted")


def _pager(first: int, total: int) -> list[Any]:
    last = min(first + PAGE, total)
    place = el("span", f"{first + 1}–{last} of {total} nodes", cls="muted")
    buttons = [gr.update(interactive=first > 0), gr.update(interactive=last < total)]
    return [gr.update(visible=total > PAGE), place, *buttons]


def _events(events: Sequence[NodeEvent]) -> Markup:
    """Return the latest events, newest first."""
    if events:
        rows = (_event(event) for event in events[:MAX_EVENTS])
        content = el("ul", *rows, tabindex="0", aria_label="Node events")
    else:
        content = el("p", "No events since the app started.", cls="muted")
    return el("section", el("h3", "Events"), content, cls="node-events")


def _event(event: NodeEvent) -> Markup:
    kind = chip(event.kind, _EVENT_TONES.get(event.kind, "calm"))
    text = el("span", el("b", event.node), " ", el("span", event.detail, cls="muted"))
    return el("li", time_tag(event.at_ms), kind, text)
