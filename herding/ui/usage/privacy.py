"""The reader's stored content: turn storage off, and delete what is stored."""

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

OPT_OUT_HELP = (
    "Keep only counts, timings and ratings of new requests. Chats are not remembered, and comments can't be saved."
)
NO_CHOICE = "Content of your requests is stored. Only users who log in with a token can turn this off."
DELETE_QUESTION = (
    "This deletes the variables, inputs, responses, errors and comments of all your requests, and your drafts. "
    "Counts, timings and ratings are kept. This can't be undone."
)


class PrivacyPane:
    """A checkbox to stop storing content, and a button to delete all of it.

    The page removes its drafts after the event `forgotten`.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        gr.HTML(el("h2", "Your data"))
        self.why = gr.HTML(elem_id="opt-out-why")
        self.opt_out = gr.Checkbox(
            label="Don't store my content", info=OPT_OUT_HELP, visible=False, interactive=True, elem_id="opt-out"
        )
        self.choice_note = gr.HTML(elem_id="opt-out-note", elem_classes=["note"])
        self.forget = ConfirmButton(
            "Delete my content",
            DELETE_QUESTION,
            "Delete",
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
        """Return updates of `outputs`."""
        why = None if user else el("p", NO_CHOICE, cls="muted")
        switch = gr.update(visible=user is not None, value=user is not None and user.opt_out)
        return [why or Markup(), switch, "", *self.forget.show(HISTORY in principal.rights), ""]

    @requires(USAGE)
    async def choose(self, opted_out: bool | None, request: gr.Request) -> list[Any]:
        """Turn the storage of this user's content on or off."""
        try:
            user = await self._accounts.opt_out(bool(opted_out), principal_of(request))
        except HerdingError as error:
            return [gr.update(value=not opted_out), panel("bad", "Not changed", el("p", error.message), role="alert")]
        text = "Content of new requests is not stored." if user.opt_out else "Content of new requests is stored."
        return [gr.update(value=user.opt_out), success(text)]

    @requires(HISTORY)
    async def delete(self, request: gr.Request) -> list[Any]:
        """Delete the content of all of the reader's requests, and their drafts."""
        count = await self._accounts.forget(None, principal_of(request))
        text = f"Deleted the content of {plural(count, 'request')} and all drafts."
        return [*self.forget.show(True), success(text if count else "Deleted all drafts. You have no requests.")]
