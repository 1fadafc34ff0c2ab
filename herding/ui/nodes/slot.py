"""The place of one node on the page: its card, and the controls to load a model, retry and remove the node."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import gradio as gr

from herding.access.operations import MANAGE_NODES, SWITCH_MODEL
from herding.errors import HerdingError, UserError
from herding.orchestrator import Orchestrator
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, panel, success
from herding.ui.nodes.card import card, progress_bar
from herding.ui.nodes.state import ListedNode, NodesState
from herding.values import NodeInfo, Principal


class NodeSlot:
    """The components of one place, and their handlers."""

    def __init__(self, orchestrator: Orchestrator, number: int, state: gr.State) -> None:
        self._orchestrator, self.number = orchestrator, number
        with gr.Column(visible=False, min_width=320, elem_id=f"nodes-{number}", elem_classes=["node"]) as self.box:
            self.card = gr.HTML(elem_id=f"nodes-{number}-card")
            with gr.Row(visible=False, elem_classes=["switch-row"]) as self.control:
                self.model = gr.Dropdown(
                    [], label="Model", interactive=True, scale=4, min_width=180, elem_id=f"nodes-{number}-model"
                )
                self.load = gr.Button("Load model", size="sm", scale=0, min_width=110, elem_id=f"nodes-{number}-switch")
            self.progress = gr.HTML(elem_id=f"nodes-{number}-progress")
            self.retry = gr.Button("Retry now", size="sm", visible=False, elem_id=f"nodes-{number}-retry")
            self.remove = ConfirmButton(
                "Remove node",
                "The node gets no new requests. It is removed with its secret when its running requests have ended.",
                "Remove",
                right=MANAGE_NODES,
                name=f"nodes_remove_{number}",
                elem_id=f"nodes-{number}-remove",
            )
        loading = [self.load, self.progress]
        on(self.load.click, self.load_model, [state, self.model], loading, name=f"nodes_switch_{number}")
        on(self.retry.click, self.retry_node, [state], [self.retry, self.progress], name=f"nodes_retry_{number}")
        removed = [*self.remove.outputs, self.progress]
        on(self.remove.yes.click, self.remove_node, [state], removed, name=f"nodes_remove_{number}")

    @property
    def outputs(self) -> list[Any]:
        """The components that a refresh redraws."""
        return [self.box, self.card, self.control, self.model, self.progress, self.retry, *self.remove.outputs]

    def show(self, node: NodeInfo, listed: ListedNode, before: ListedNode | None, principal: Principal) -> list[Any]:
        """Return updates of `outputs`; controls of a node that is listed as `before` stay untouched."""
        unchanged = listed == before
        models, status = listed.models, node.status
        loaded = next((model for model in status.serves if model in models), None)
        choices = gr.skip() if unchanged else gr.update(choices=[(model, model) for model in models], value=loaded)
        can_manage = MANAGE_NODES in principal.rights
        return [
            gr.update(visible=True),
            card(node),
            gr.update(visible=SWITCH_MODEL in principal.rights and bool(models)),
            choices,
            gr.skip() if before is not None and before.name == node.name else "",
            gr.update(visible=can_manage and node.health.state != "healthy"),
            *([gr.skip(), gr.skip()] if unchanged else ConfirmButton.show(listed.removable)),
        ]

    def hide(self) -> list[Any]:
        """Return updates of `outputs` for an empty slot."""
        return [gr.update(visible=False), *(gr.skip() for _ in self.outputs[1:])]

    @requires(SWITCH_MODEL)
    async def load_model(
        self, state: NodesState, model: str | None, request: gr.Request
    ) -> AsyncGenerator[list[Any], None]:
        """Load a model on the node, with its progress below the control."""
        if self.number >= len(state.nodes) or not model:
            raise UserError("Choose a model first.", param="model")
        name = state.name_of(self.number)
        yield [gr.update(value="Loading …", interactive=False), progress_bar(None, f"Requesting {model} on {name}")]
        result = success(f"{model} is loaded on {name}.")
        try:
            async with aclosing(self._orchestrator.nodes.load_model(name, model, principal_of(request))) as steps:
                async for step in steps:
                    if not step.done:
                        yield [gr.skip(), progress_bar(step.fraction, step.stage)]
        except HerdingError as error:
            result = panel("bad", f"Can't load {model}", el("p", error.message), role="alert")
        yield [gr.update(value="Load model", interactive=True), result]

    @requires(MANAGE_NODES)
    async def retry_node(self, state: NodesState, request: gr.Request) -> list[Any]:
        """Send requests to the node again at once."""
        name = state.name_of(self.number)
        await self._orchestrator.nodes.retry(name, principal_of(request))
        return [gr.update(visible=False), success(f"The next request goes to {name} again.")]

    @requires(MANAGE_NODES)
    async def remove_node(self, state: NodesState, request: gr.Request) -> AsyncGenerator[list[Any], None]:
        """Remove the node after its running requests; its card disappears with the next refresh."""
        name = state.name_of(self.number)
        draining = progress_bar(None, f"Waiting for the running requests of {name}")
        yield [*ConfirmButton.show(False), draining]
        try:
            await self._orchestrator.registry.remove(name, principal_of(request))
        except HerdingError as error:
            yield [
                *ConfirmButton.show(True),
                panel("bad", f"{name} was not removed", el("p", error.message), role="alert"),
            ]
            return
        yield [gr.skip(), gr.skip(), ""]
