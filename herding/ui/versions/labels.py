"""The labels of a prompt: what they stand for, how to move them, and how to take a move back."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import ConflictError, UserError
from herding.studio.version_cache import DEV, PROD
from herding.ui.kit.format import date_tag, datetime_tag, el, join, success
from herding.ui.kit.picklist import pick_list
from herding.ui.versions.list import label_chip, person
from herding.ui.versions.read import Seen, View, may_move, next_back
from herding.values import LabelMove, Principal

MOST_MOVES = 30
MOVED = "The label was moved in the meantime. Look at it again before you take the move back."


class LabelPane:
    """Fields to set a label to the chosen version, and the list of labels, each with the way back."""

    def __init__(self) -> None:
        with gr.Column(elem_id="version-publish", elem_classes=["publish"]) as self.form:
            with gr.Row(elem_classes=["publish-row"]):
                self.label = gr.Dropdown(
                    [PROD], value=PROD, label="Label", interactive=True, scale=0, min_width=120, elem_id="version-label"
                )
                self.message = gr.Textbox(
                    label="Why",
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

    def shows(self, seen: Seen, view: View, who: Principal, note: Markup | None = None) -> list[Any]:
        """Updates of `outputs`; `note` says what was just done."""
        mine = [label for label in seen.names if may_move(label, who)]
        view.label = view.label if view.label in mine else next(iter(mine), PROD)
        there = seen.labels.get(view.label) == view.chosen
        return [
            gr.update(visible=bool(mine)),
            gr.update(choices=mine, value=view.label),
            gr.update(value=_does(view, there=there), interactive=not there),
            labels(seen, who),
            note or "",
        ]


def labels(seen: Seen, who: Principal) -> Markup:
    """What each label stands for, and the moves so far."""
    shown = [_label(label, seen, who) for label in seen.names]
    moves = seen.moves[:MOST_MOVES]
    told = f"the latest {MOST_MOVES} of {len(seen.moves):,}" if len(seen.moves) > MOST_MOVES else f"{len(moves)}"
    past = el("ol", *(el("li", history(move)) for move in moves), cls="plain moves", tabindex="0")
    story = el("details", el("summary", f"Moves of labels ({told})"), past) if moves else None
    return join([el("section", el("h3", "Labels"), el("ul", *shown, cls="plain labels"), tabindex="-1"), story])


def moved(move: LabelMove) -> Markup:
    """What a move did, for whoever made it."""
    now = f"now stands for version {move.number}" if move.number else "stands for no version now"
    return success(f"The label {move.label} {now}; before, it was {_version(move.previous)}.")


def asked_back(item: str, moves: tuple[LabelMove, ...]) -> str:
    """The label whose last move is to be taken back, as the button says; ConflictError where it moved since."""
    label, _, number = item.rpartition(".")
    if not label:
        raise UserError("Pick a label of the list.", param="label")
    found = next_back(moves, label)
    if found is None or str(found.id) != number:
        raise ConflictError(MOVED, param="label")
    return label


def history(move: LabelMove) -> Markup:
    """One move as a line."""
    way = f" {_version(move.previous)} → {_version(move.number)}"
    back = el("span", " taken back", cls="muted") if move.undoes is not None else None
    said = el("div", move.message, cls="version-message") if move.message else None
    whom = el("span", "by ", person(move.author), " · ", datetime_tag(move.at), cls="muted")
    return join([label_chip(move.label), way, back, el("div", whom), said])


def _does(view: View, *, there: bool) -> str:
    if there:
        return f"Version {view.chosen} is {view.label}"
    return f"Publish version {view.chosen}" if view.label == PROD else f"Set {view.label} to version {view.chosen}"


def _label(label: str, seen: Seen, who: Principal) -> Markup:
    number = seen.labels.get(label)
    back = next_back(seen.moves, label)
    last = next((move for move in seen.moves if move.label == label), None)
    state = el("strong", f"Version {number}") if number else el("span", _unset(label, seen.newest), cls="muted")
    since = el("span", "since ", date_tag(last.at), cls="muted") if last and number else None
    button = None
    if back is not None and may_move(label, who):
        does = f"Take back to version {back.previous}" if back.previous else "Take the label away"
        spoken = el("span", f": label {label}", cls="sr")
        button = el("button", does, spoken, type="button", cls="label-back", data_pick=f"{label}.{back.id}")
    return el("li", label_chip(label), el("div", state, " ", since, cls="label-state"), button)


def _unset(label: str, newest: int) -> str:
    """What a label means that no version has."""
    if label == PROD:
        return f"not published: a call of the prompt gets the newest, version {newest}"
    return f"means the newest, version {newest}" if label == DEV else "not set"


def _version(number: int | None) -> str:
    return f"version {number}" if number else "no version"
