"""The tab "Nodes": the herd at this moment, and the switch to another model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import MANAGE_NODES, SWITCH_MODEL
from herding.errors import HerdingError, UserError
from herding.orchestrator import Orchestrator
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, empty_state, panel
from herding.ui.nodes.card import bar, card
from herding.ui.nodes.events import feed
from herding.ui.nodes.form import NodeForm, refused
from herding.values import NodeEvent, NodeInfo, Principal

SLOTS = 12
EVERY = 3.0


@dataclass
class Slot:
    """The place of one node: its card, the control that switches its model, and the button that removes it."""

    number: gr.State
    box: gr.Column
    card: gr.HTML
    control: gr.Row
    model: gr.Dropdown
    switch: gr.Button
    progress: gr.HTML
    mend: gr.Button
    remove: ConfirmButton

    @property
    def faces(self) -> list[Any]:
        """What every refresh redraws; the control's choice is not among it."""
        return [self.box, self.card, self.control, self.model, self.progress, self.mend, *self.remove.outputs]


@dataclass(frozen=True)
class Shown:
    """Which node each slot shows, what it offers and whether it can be removed; a refresh leaves a control alone
    where that stays. `manages` is whether the form is there, `first` the place in the herd of the first node shown."""

    nodes: tuple[tuple[str, tuple[str, ...], bool], ...] = ()
    manages: bool = False
    first: int = 0

    def turned(self, pages: int) -> Shown:
        """The same some pages on; where there is none, a refresh shows the last."""
        return replace(self, first=max(0, self.first + pages * SLOTS))


class NodesTab:
    """Layout of the tab, and its handlers."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.shown = gr.State(Shown())
        self.timer = gr.Timer(EVERY, active=False)
        self.summary = gr.HTML(elem_id="nodes-summary")
        self.form = NodeForm(orchestrator)
        with gr.Row(elem_classes=["herd"]):
            self._slots = [_slot(number) for number in range(SLOTS)]
        with gr.Row(visible=False, elem_classes=["pager"]) as self.pager:
            self.earlier = gr.Button("‹ Earlier", size="sm", scale=0, min_width=100, elem_id="nodes-earlier")
            self.place = gr.HTML(elem_id="nodes-place")
            self.later = gr.Button("Later ›", size="sm", scale=0, min_width=100, elem_id="nodes-later")
        self.events = gr.HTML(elem_id="nodes-events")
        self._wire()

    def _wire(self) -> None:
        for number, slot in enumerate(self._slots):
            given = [slot.number, self.shown, slot.model]
            on(slot.switch.click, self.switch, given, [slot.switch, slot.progress], name=f"nodes_switch_{number}")
            on(slot.mend.click, self.mend, given[:2], [slot.mend, slot.progress], name=f"nodes_mend_{number}")
            gone = [*slot.remove.outputs, slot.progress]
            on(slot.remove.yes.click, self.remove, given[:2], gone, name=f"nodes_remove_{number}")

    @property
    def outputs(self) -> list[Any]:
        """What every refresh redraws."""
        faces = [face for slot in self._slots for face in slot.faces]
        pager = [self.pager, self.place, self.earlier, self.later]
        return [self.shown, self.timer, self.summary, self.form.box, *pager, self.events, *faces]

    def show(
        self, herd: Sequence[NodeInfo], events: Sequence[NodeEvent], shown: Shown, principal: Principal
    ) -> list[Any]:
        """Updates of `outputs` for the herd as it is now, and what happened to it; the refreshing goes on."""
        may_switch = SWITCH_MODEL in principal.rights
        manages = MANAGE_NODES in principal.rights
        added = self._orchestrator.registry.names if manages else frozenset()
        first = min(shown.first, max(0, len(herd) - 1) // SLOTS * SLOTS)
        page = herd[first : first + SLOTS]
        now = Shown(tuple((node.name, node.status.offers, node.name in added) for node in page), manages, first)
        before = dict(enumerate(shown.nodes))
        faces: list[Any] = []
        for number, node in enumerate(page):
            known = before.get(number) == now.nodes[number]
            faces += _faces(node, may_switch=may_switch, known=known)
            faces.append(gr.skip() if number in before and before[number][0] == node.name else "")
            faces.append(gr.update(visible=manages and node.health.state != "healthy"))
            faces += [gr.skip(), gr.skip()] if known else ConfirmButton.shows(node.name in added)
        unused = SLOTS - len(page)
        faces += [gr.update(visible=False), *[gr.skip()] * 7] * unused
        form = gr.skip() if shown.manages == manages else gr.update(visible=manages)
        head = [_summary(herd), form, *_pager(first, len(herd)), feed(events)]
        return [now, gr.update(active=True), *head, *faces]

    @requires(SWITCH_MODEL)
    async def switch(
        self, number: int, shown: Shown, model: str | None, request: gr.Request
    ) -> AsyncGenerator[list[Any], None]:
        """Switch the node of a slot to a model; the progress shows below the control."""
        if number >= len(shown.nodes) or not model:
            raise UserError("Choose a model first.", param="model")
        name = shown.nodes[number][0]
        yield [gr.update(value="Switching …", interactive=False), bar(None, f"Asking {name} for {model}")]
        last: Markup = _switched(model, name)
        try:
            async with aclosing(self._orchestrator.nodes.switch_model(name, model, principal_of(request))) as steps:
                async for step in steps:
                    if not step.done:
                        yield [gr.skip(), bar(step.fraction, step.stage)]
        except HerdingError as error:
            last = panel("bad", f"{model} could not be loaded", el("p", error.message), role="alert")
        yield [gr.update(value="Switch", interactive=True), last]

    @requires(MANAGE_NODES)
    async def mend(self, number: int, shown: Shown, request: gr.Request) -> list[Any]:
        """Have the node of a slot tried again at once."""
        name = _named(number, shown)
        await self._orchestrator.nodes.retry(name, principal_of(request))
        said = el("p", f"✓ The next request tries {name} again.", cls="saved", role="status")
        return [gr.update(visible=False), said]

    @requires(MANAGE_NODES)
    async def remove(self, number: int, shown: Shown, request: gr.Request) -> AsyncGenerator[list[Any], None]:
        """Remove the node of a slot; what runs on it ends first, and its card goes with the next refresh."""
        name = _named(number, shown)
        yield [*ConfirmButton.shows(False), bar(None, f"{name} gets no more requests; those that it has end first")]
        try:
            await self._orchestrator.registry.remove(name, principal_of(request))
        except HerdingError as error:
            yield [*ConfirmButton.shows(True), refused(f"{name} was not removed", error)]
            return
        yield [gr.skip(), gr.skip(), ""]


def _named(number: int, shown: Shown) -> str:
    """The name of the node in a slot."""
    if number >= len(shown.nodes):
        raise UserError("This node is not there any more.", param="node")
    return shown.nodes[number][0]


def _slot(number: int) -> Slot:
    with gr.Column(visible=False, min_width=320, elem_id=f"nodes-{number}", elem_classes=["node"]) as box:
        face = gr.HTML(elem_id=f"nodes-{number}-card")
        with gr.Row(visible=False, elem_classes=["switch-row"]) as control:
            model = gr.Dropdown(
                [], label="Switch to", interactive=True, scale=4, min_width=180, elem_id=f"nodes-{number}-model"
            )
            switch = gr.Button("Switch", size="sm", scale=0, min_width=90, elem_id=f"nodes-{number}-switch")
        progress = gr.HTML(elem_id=f"nodes-{number}-progress")
        mend = gr.Button("It is mended: try again now", size="sm", visible=False, elem_id=f"nodes-{number}-mend")
        remove = _remove(number)
    return Slot(
        number=gr.State(number),
        box=box,
        card=face,
        control=control,
        model=model,
        switch=switch,
        progress=progress,
        mend=mend,
        remove=remove,
    )


def _remove(number: int) -> ConfirmButton:
    return ConfirmButton(
        "Remove",
        "The node gets no more requests, and is gone with its secret when those that it has are over.",
        "Remove this node",
        right=MANAGE_NODES,
        name=f"nodes_remove_{number}",
        elem_id=f"nodes-{number}-remove",
    )


def _faces(node: NodeInfo, *, may_switch: bool, known: bool) -> list[Any]:
    """Updates of a slot's faces; a control that the person may be using right now stays as it is."""
    offers = node.status.offers
    can = may_switch and bool(offers)
    loaded = next((model for model in node.status.serves if model in offers), None)
    model = gr.skip() if known else gr.update(choices=[(offer, offer) for offer in offers], value=loaded)
    return [gr.update(visible=True), card(node), gr.update(visible=can), model]


def _summary(herd: Sequence[NodeInfo]) -> Markup:
    if not herd:
        return empty_state("No nodes", "Add one to the nodes file and start Herding again.")
    ready = sum(node.answers for node in herd)
    return el("p", f"{ready} of {len(herd)} nodes ready. Figures refresh every {EVERY:.0f} seconds.", cls="muted")


def _pager(first: int, nodes: int) -> list[Any]:
    """The row to turn pages, for more nodes than there are slots."""
    last = min(first + SLOTS, nodes)
    place = el("span", f"nodes {first + 1}-{last} of {nodes}", cls="muted")
    able = [gr.update(interactive=first > 0), gr.update(interactive=last < nodes)]
    return [gr.update(visible=nodes > SLOTS), place, *able]


def _switched(model: str, node: str) -> Markup:
    return el("p", f"✓ {model} is loaded on {node}.", cls="saved", role="status")
