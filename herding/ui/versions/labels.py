"""The labels of a prompt: their versions, their history, and moving them."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import ConflictError, UserError
from herding.studio.version_cache import DEV, PROD
from herding.ui.kit.format import date_tag, datetime_tag, el, join, success
from herding.ui.kit.picklist import pick_list
from herding.ui.versions.detail import author_name, label_chip
from herding.ui.versions.state import PromptSnapshot, VersionsState, can_move, next_revert
from herding.values import LabelMove, Principal

MAX_MOVES = 30
MOVED = "The label has moved since. Check it again before you revert it."


class LabelPane:
    """Fields that set a label to the selected version, and the list of labels with a button to revert each."""

    def __init__(self) -> None:
        with gr.Column(elem_id="version-publish", elem_classes=["publish"]) as self.form:
            with gr.Row(elem_classes=["publish-row"]):
                self.label = gr.Dropdown(
                    [PROD], value=PROD, label="Label", interactive=True, scale=0, min_width=120, elem_id="version-label"
                )
                self.message = gr.Textbox(
                    label="Note",
                    placeholder="Optional",
                    max_lines=3,
                    interactive=True,
                    scale=1,
                    min_width=150,
                    elem_id="version-message",
                )
            self.move = gr.Button("Publish", variant="primary", size="sm", elem_id="version-move")
        self.note = gr.HTML(elem_id="version-note", elem_classes=["note"])
        self.list = pick_list("version-labels")

    @property
    def outputs(self) -> list[Any]:
        return [self.form, self.label, self.move, self.list, self.note]

    def show(
        self, snapshot: PromptSnapshot, state: VersionsState, who: Principal, note: Markup | None = None
    ) -> list[Any]:
        """Return updates of `outputs`; `note` reports the last action."""
        movable = [label for label in snapshot.label_names if can_move(label, who)]
        state.label = state.label if state.label in movable else next(iter(movable), PROD)
        is_set = snapshot.labels.get(state.label) == state.selected
        return [
            gr.update(visible=bool(movable)),
            gr.update(choices=movable, value=state.label),
            gr.update(value=_button_text(state, is_set=is_set), interactive=not is_set),
            _labels(snapshot, who),
            note or "",
        ]


def moved(move: LabelMove) -> Markup:
    """Return the message after a move."""
    if move.number is None:
        return success(f"{move.label} removed from v{move.previous}.")
    if move.previous is None:
        return success(f"{move.label} set to v{move.number}.")
    return success(f"{move.label} moved from v{move.previous} to v{move.number}.")


def label_to_revert(item: str, moves: tuple[LabelMove, ...]) -> str:
    """Return the label named by a revert button; raise ConflictError if it has moved since it was shown."""
    label, _, number = item.rpartition(".")
    if not label:
        raise UserError("Choose a label from the list.", param="label")
    found = next_revert(moves, label)
    if found is None or str(found.id) != number:
        raise ConflictError(MOVED, param="label")
    return label


def _labels(snapshot: PromptSnapshot, who: Principal) -> Markup:
    rows = [_label(label, snapshot, who) for label in snapshot.label_names]
    moves, total = snapshot.moves[:MAX_MOVES], len(snapshot.moves)
    count = f"latest {MAX_MOVES} of {total:,}" if total > MAX_MOVES else f"{total}"
    past = el("ol", *(el("li", _move(move)) for move in moves), cls="plain moves", tabindex="0")
    history = el("details", el("summary", f"Label history ({count})"), past) if moves else None
    return join([el("section", el("h3", "Labels"), el("ul", *rows, cls="plain labels"), tabindex="-1"), history])


def _move(move: LabelMove) -> Markup:
    change = f" {_version(move.previous)} → {_version(move.number)}"
    reverted = el("span", " reverted", cls="muted") if move.undoes is not None else None
    note = el("div", move.message, cls="version-message") if move.message else None
    author = el("span", "by ", author_name(move.author), " · ", datetime_tag(move.at), cls="muted")
    return join([label_chip(move.label), change, reverted, el("div", author), note])


def _button_text(state: VersionsState, *, is_set: bool) -> str:
    if is_set:
        return f"v{state.selected} is {state.label}"
    return f"Publish v{state.selected}" if state.label == PROD else f"Set {state.label} to v{state.selected}"


def _label(label: str, snapshot: PromptSnapshot, who: Principal) -> Markup:
    number = snapshot.labels.get(label)
    revert = next_revert(snapshot.moves, label)
    last = next((move for move in snapshot.moves if move.label == label), None)
    target = el("strong", f"v{number}") if number else el("span", _default(label, snapshot.newest), cls="muted")
    since = el("span", "since ", date_tag(last.at), cls="muted") if last and number else None
    button = None
    if revert is not None and can_move(label, who):
        text = f"Revert to v{revert.previous}" if revert.previous else "Remove label"
        spoken = el("span", f": label {label}", cls="sr")
        button = el("button", text, spoken, type="button", cls="label-back", data_pick=f"{label}.{revert.id}")
    return el("li", label_chip(label), el("div", target, " ", since, cls="label-state"), button)


def _default(label: str, newest: int) -> str:
    """Return the meaning of a label that is not set."""
    if label == PROD:
        return f"not set; calls use the latest version (v{newest})"
    return f"→ latest (v{newest})" if label == DEV else "not set"


def _version(number: int | None) -> str:
    return f"v{number}" if number else "not set"
