"""What stands below the editor: how the draft is kept, who else writes, and the ways back and on."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import EDIT, RUN, SAVE
from herding.ui.engineer.save_form import SaveForm
from herding.ui.engineer.session_state import SessionState, is_new
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.format import chip, el, join, time_tag
from herding.values import Principal

DISCARD = "Discard this draft with its earlier texts? This cannot be undone."


class DraftPane:
    """Layout of the pane; `show` says what of it is seen."""

    def __init__(self) -> None:
        with gr.Column(elem_id="draft-section", elem_classes=["draft"]):
            self.others = gr.HTML(elem_id="draft-others", visible=False)
            with gr.Row(elem_classes=["draft-row"]):
                self.state = gr.HTML(elem_id="draft-state")
                small: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 70, "visible": False}
                self.undo = gr.Button("Undo", elem_id="draft-undo", **small)
                self.redo = gr.Button("Redo", elem_id="draft-redo", **small)
                words = {"right": RUN, "name": "discard", "elem_id": "draft-discard"}
                self.discard = ConfirmButton("Discard draft", DISCARD, "Discard it", **words)
            self.saving = SaveForm()

    @property
    def outputs(self) -> list[Any]:
        own = [self.others, self.state, self.undo, self.redo, *self.discard.outputs]
        return [*own, *self.saving.frame]

    def show(self, desk: SessionState, others: tuple[str, ...], who: Principal) -> list[Any]:
        """Updates of `outputs`."""
        draft, prompt = desk.draft, desk.prompt
        new = prompt is not None and is_new(prompt)
        any_edits = prompt is not None and (new or not draft.kept.empty or not desk.edits().empty)
        can_save = SAVE in who.rights and prompt is not None and (new or draft.changes_prompt)
        return [
            gr.update(value=told(others), visible=bool(others)),
            state(desk, who),
            gr.update(visible=any_edits or bool(draft.undone), interactive=any_edits),
            gr.update(visible=bool(draft.undone)),
            *self.discard.shows(any_edits),
            *self.saving.show(desk, can_save=can_save),
        ]


def state(desk: SessionState, who: Principal) -> Markup:
    """Whether the draft is kept, and since when."""
    draft, prompt = desk.draft, desk.prompt
    if draft.trouble:
        return el("p", chip("not kept", "bad"), " ", draft.trouble.message, cls="wrong", role="alert")
    if prompt is None or draft.kept_at is None or draft.kept.empty:
        return el("p", "What you type is kept as a draft.", cls="muted") if EDIT in who.rights else Markup()
    what = "Draft kept " if draft.kept.changes_prompt else "Inputs kept "
    older = 0 < draft.base < prompt.newest and draft.kept.changes_prompt
    base = f" It is based on version {draft.base}; version {prompt.newest} is the newest." if older else None
    aside = " Drafts are kept, although your history is not." if who.opt_out else None
    return el("p", chip("✓", "good"), " ", what, time_tag(draft.kept_at), base, aside, cls="muted")


def told(others: tuple[str, ...]) -> Markup:
    """Who else edits the prompt."""
    if not others:
        return Markup()
    names = [el("strong", name) for name in others]
    listed = names[0] if len(names) == 1 else join([*_commas(names[:-1]), " and ", names[-1]])
    verb = "edits" if len(names) == 1 else "edit"
    return el("p", chip("at the same time", "busy"), " ", listed, f" {verb} this prompt too.", role="status")


def _commas(names: list[Markup]) -> list[Markup | str]:
    return [part for number, name in enumerate(names) for part in ((", ", name) if number else (name,))]
