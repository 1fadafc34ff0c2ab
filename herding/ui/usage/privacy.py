"""What is kept of the reader's requests, and how to take it away."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import HISTORY, USAGE
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, panel, plural, success
from herding.values import Principal, User

MEANING = (
    "Nothing that you ask or get is kept from now on; counts, times and stars are. "
    "So sessions cannot be remembered, and comments cannot be kept."
)
NO_CHOICE = (
    "Whether texts of yours are kept is a choice of users who log in with a token. What you ask and get here is kept."
)
ALL_GONE = (
    "Variables, inputs, answers, errors and comments go, and your drafts of prompts; counts, times and stars stay. "
    "This cannot be undone."
)


class PrivacyPane:
    """The switch that keeps texts out of the history, and the button that takes the old ones out of it.

    After `forgotten` the page is to show no drafts any more.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        gr.HTML(el("h2", "Your data"))
        self.why = gr.HTML(elem_id="opt-out-why")
        self.opt_out = gr.Checkbox(
            label="Keep no texts of mine", info=MEANING, visible=False, interactive=True, elem_id="opt-out"
        )
        self.choice_note = gr.HTML(elem_id="opt-out-note", elem_classes=["note"])
        self.forget = ConfirmButton(
            "Delete all my texts",
            ALL_GONE,
            "Delete all texts",
            right=HISTORY,
            name="forget_all",
            elem_id="forget-all",
        )
        self.forget_note = gr.HTML(elem_id="forget-all-note", elem_classes=["note"])
        self._wire()

    def _wire(self) -> None:
        chosen = [self.opt_out, self.choice_note]
        on(self.opt_out.input, self.choose, [self.opt_out], chosen, name="opt_out", trigger_mode="always_last")
        gone = [*self.forget.outputs, self.forget_note]
        self.forgotten = on(self.forget.yes.click, self.delete, [], gone, name="forget_all")

    @property
    def outputs(self) -> list[Any]:
        return [self.why, self.opt_out, self.choice_note, *self.forget.outputs, self.forget_note]

    def show(self, principal: Principal, user: User | None) -> list[Any]:
        """Updates of `outputs`."""
        why = None if user else el("p", NO_CHOICE, cls="muted")
        switch = gr.update(visible=user is not None, value=user is not None and user.opt_out)
        return [why or Markup(), switch, "", *self.forget.show(HISTORY in principal.rights), ""]

    @requires(USAGE)
    async def choose(self, opted_out: bool | None, request: gr.Request) -> list[Any]:
        """Keep texts of this user from now on, or do not."""
        try:
            user = await self._accounts.opt_out(bool(opted_out), principal_of(request))
        except HerdingError as error:
            return [gr.update(value=not opted_out), panel("bad", "Not changed", el("p", error.message), role="alert")]
        said = "From now on no texts of yours are kept." if user.opt_out else "From now on your texts are kept again."
        return [gr.update(value=user.opt_out), success(said)]

    @requires(HISTORY)
    async def delete(self, request: gr.Request) -> list[Any]:
        """Delete the texts of all of the reader's requests, and their drafts."""
        count = await self._accounts.forget(None, principal_of(request))
        requests = f"The texts of {plural(count, 'request')} are deleted." if count else "You have no requests."
        return [*self.forget.show(True), success(f"{requests} You have no drafts any more.")]
