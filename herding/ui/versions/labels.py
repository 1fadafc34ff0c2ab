"""The labels of a prompt: their versions, their history, and moving them."""

from __future__ import annotations

import json

from markupsafe import Markup

from herding.errors import ConflictError, UserError
from herding.studio.version_cache import DEV, PROD
from herding.ui.kit.fields import button, select_field, text_field
from herding.ui.kit.format import date_tag, datetime_tag, el, join
from herding.ui.kit.prompt_text import label_name
from herding.ui.versions.detail import author_name
from herding.ui.versions.list import ACTION
from herding.ui.versions.snapshot import Choice, PromptSnapshot, can_move, next_revert
from herding.values import LabelMove, Principal

MAX_MOVES = 30
MOVED = "The label has moved since. Check it again before you revert it."


def label_section(snapshot: PromptSnapshot, choice: Choice, who: Principal) -> Markup:
    """Return the fields that set a label to the open version, and all labels with a button to revert each."""
    return el(
        "div", _publish(snapshot, choice, who), _labels(snapshot, who), id="version-labels", cls="versions-labels"
    )


def moved(move: LabelMove) -> str:
    """Return the message after a move."""
    if move.number is None:
        return f"{move.label} removed from v{move.previous}."
    if move.previous is None:
        return f"{move.label} set to v{move.number}."
    return f"{move.label} moved from v{move.previous} to v{move.number}."


def label_to_revert(item: str, moves: tuple[LabelMove, ...]) -> str:
    """Return the label named by a revert button; raise ConflictError if it has moved since it was shown."""
    label, _, number = item.rpartition(".")
    if not label:
        raise UserError("Choose a label from the list.", param="label")
    found = next_revert(moves, label)
    if found is None or str(found.id) != number:
        raise ConflictError(MOVED, param="label")
    return label


def _publish(snapshot: PromptSnapshot, choice: Choice, who: Principal) -> Markup | None:
    movable = [label for label in snapshot.label_names if can_move(label, who)]
    if not movable:
        return None
    label, number = choice.label if choice.label in movable else movable[0], snapshot.number
    is_set = snapshot.labels.get(label) == number
    text = f"v{number} is {label}" if is_set else f"Publish v{number}" if label == PROD else f"Set {label} to v{number}"
    chosen = select_field(
        "Label",
        "label",
        [(name, name) for name in movable],
        label,
        id="version-label",
        form="versions-form",
        hx_get="ui/versions/body",
        hx_trigger="change",
        **ACTION,
    )
    note = text_field(
        "Note",
        "note",
        choice.note,
        placeholder="Optional",
        id="version-message",
        form="versions-form",
        maxlength="2000",
    )
    move = button(
        text,
        kind="primary",
        id="version-move",
        disabled="" if is_set else None,
        hx_post="ui/versions/label",
        **ACTION,
    )
    return el("div", chosen, note, move, id="version-publish", cls="versions-publish")


def _labels(snapshot: PromptSnapshot, who: Principal) -> Markup:
    rows = [_label(label, snapshot, who) for label in snapshot.label_names]
    moves, total = snapshot.moves[:MAX_MOVES], len(snapshot.moves)
    count = f"latest {MAX_MOVES} of {total:,}" if total > MAX_MOVES else f"{total}"
    past = el("ol", *(el("li", _move(move)) for move in moves), cls="plain moves", tabindex="0")
    history = el("details", el("summary", f"Label history ({count})"), past, id="version-moves") if moves else None
    listed = el("section", el("h3", "Labels"), el("ul", *rows, cls="plain labels"), tabindex="-1", id="version-set")
    return join([listed, history])


def _move(move: LabelMove) -> Markup:
    change = f" {_version(move.previous)} → {_version(move.number)}"
    reverted = el("span", " reverted", cls="muted") if move.undoes is not None else None
    note = el("div", move.message, cls="version-message") if move.message else None
    author = el("span", "by ", author_name(move.author), " · ", datetime_tag(move.at), cls="muted")
    return join([label_name(move.label), change, reverted, el("div", author), note])


def _label(label: str, snapshot: PromptSnapshot, who: Principal) -> Markup:
    number = snapshot.labels.get(label)
    revert = next_revert(snapshot.moves, label)
    last = next((move for move in snapshot.moves if move.label == label), None)
    target = el("strong", f"v{number}") if number else el("span", _default(label, snapshot.newest), cls="muted")
    since = el("span", "since ", date_tag(last.at), cls="muted") if last and number else None
    back = None
    if revert is not None and can_move(label, who):
        text = f"Revert to v{revert.previous}" if revert.previous else "Remove label"
        spoken = el("span", f": label {label}", cls="sr")
        back = button(
            join([text, spoken]),
            cls="label-back",
            hx_post="ui/versions/revert",
            hx_vals=json.dumps({"move": f"{label}.{revert.id}"}),
            **ACTION,
        )
    return el("li", label_name(label), el("div", target, " ", since, cls="label-state"), back)


def _default(label: str, newest: int) -> str:
    """Return the meaning of a label that is not set."""
    if label == PROD:
        return f"not set; calls use the latest version (v{newest})"
    return f"→ latest (v{newest})" if label == DEV else "not set"


def _version(number: int | None) -> str:
    return f"v{number}" if number else "not set"
