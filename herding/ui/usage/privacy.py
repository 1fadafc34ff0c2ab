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
from herding.ui.kit.format import el, join, panel, plural, success
from herding.values import Principal, User

OPT_OUT_HELP = (
    "Keep only counts, timings and ratings of new requests. Chats are not remembered, and comments and drafts can't be "
    "saved."
)
NO_CHOICE = "Content of your requests is stored. Only users who log in with a token can turn this off."
DELETE_QUESTION = (
    "This deletes the variables, inputs, responses, errors and comments of all your requests, and your drafts. "
    "Counts, timings and ratings are kept. This can't be undone."
)


DELETE_DRAFTS_QUESTION = "This deletes your drafts with their unsaved changes. This can't be undone."


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
        self.drafts = ConfirmButton(
            "Delete my drafts",
            DELETE_DRAFTS_QUESTION,
            "Delete",
            right=USAGE,
            name="forget_drafts",
            elem_id="forget-drafts",
        )
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
        chosen = [self.opt_out, self.choice_note, *self.drafts.outputs]
        on(self.opt_out.input, self.choose, [self.opt_out], chosen, name="opt_out", trigger_mode="always_last")
        left = [self.choice_note, *self.drafts.outputs]
        self.drafts_forgotten = on(self.drafts.yes.click, self.delete_drafts, [], left, name="forget_drafts")
        gone = [*self.forget.outputs, self.forget_note]
        self.forgotten = on(self.forget.yes.click, self.delete, [], gone, name="forget_all")

    @property
    def outputs(self) -> list[Any]:
        return [self.why, self.opt_out, self.choice_note, *self.drafts.outputs, *self.forget.outputs, self.forget_note]

    async def show(self, principal: Principal, user: User | None) -> list[Any]:
        """Return updates of `outputs`."""
        drafts = await self._accounts.stored_drafts(principal) if user is not None and user.opt_out else 0
        why = None if user else el("p", NO_CHOICE, cls="muted")
        switch = gr.update(visible=user is not None, value=user is not None and user.opt_out)
        forget = self.forget.show(HISTORY in principal.rights)
        note = _drafts_note(drafts) if drafts else ""
        return [why or Markup(), switch, note, *self.drafts.show(bool(drafts)), *forget, ""]

    @requires(USAGE)
    async def choose(self, opted_out: bool | None, request: gr.Request) -> list[Any]:
        """Turn the storage of this user's content on or off; offer to delete the drafts that are stored."""
        principal = principal_of(request)
        try:
            user = await self._accounts.opt_out(bool(opted_out), principal)
        except HerdingError as error:
            note = panel("bad", "Not changed", el("p", error.message), role="alert")
            return [gr.update(value=not opted_out), note, *self.drafts.show(False)]
        if not user.opt_out:
            note = success("Content of new requests and drafts is stored.")
            return [gr.update(value=False), note, *self.drafts.show(False)]
        drafts = await self._accounts.stored_drafts(principal)
        note = join([success("Content of new requests and drafts is not stored."), _drafts_note(drafts)])
        return [gr.update(value=True), note, *self.drafts.show(bool(drafts))]

    @requires(USAGE)
    async def delete_drafts(self, request: gr.Request) -> list[Any]:
        """Delete all drafts of the reader."""
        count = await self._accounts.forget_drafts(principal_of(request))
        return [success(f"Deleted {plural(count, 'draft')}."), *self.drafts.show(False)]

    @requires(HISTORY)
    async def delete(self, request: gr.Request) -> list[Any]:
        """Delete the content of all of the reader's requests, and their drafts."""
        count = await self._accounts.forget(None, principal_of(request))
        text = f"Deleted the content of {plural(count, 'request')} and all drafts."
        return [*self.forget.show(True), success(text if count else "Deleted all drafts. You have no requests.")]


def _drafts_note(count: int) -> Markup:
    """Return how many drafts are stored; empty for none."""
    if not count:
        return Markup()
    kept = "is" if count == 1 else "are"
    return el("p", f"{plural(count, 'earlier draft')} {kept} still stored.", cls="muted", role="status")
