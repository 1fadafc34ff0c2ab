"""Which of the responses is better: the question with its buttons, and the stored preferences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from markupsafe import Markup

from herding.errors import NotFoundError, UserError
from herding.evaluation.feedback import Feedback
from herding.ui.compare.columns import PAST, Column, column_label
from herding.ui.compare.inputs import FORM
from herding.ui.kit.fields import button
from herding.ui.kit.format import el
from herding.ui.kit.views import Call
from herding.values import Principal

EQUAL, CLEAR = "equal", "clear"
NOT_ON_PAGE = "This response is no longer on this page. Run the columns again."


@dataclass(frozen=True, slots=True)
class Candidate:
    """A finished response: the letter of its column, and the id of its request."""

    letter: str
    request_id: str

    @property
    def label(self) -> str:
        """The name of the column."""
        return column_label(self.letter)


def candidates(call: Call, columns: Sequence[Column]) -> list[Candidate]:
    """Return the responses on the page, in the order of their columns."""
    past = call.text("request")
    found = [Candidate(PAST, past)] if past else []
    for column in columns:
        if request_id := call.text(f"{column.letter}.request"):
            found.append(Candidate(column.letter, request_id))
    return found


def pair_of(text: str, found: Sequence[Candidate]) -> list[Candidate]:
    """Return the two candidates whose letters a text names. Raises UserError if one is not on the page."""
    pair = [one for letter in text.split() for one in found if one.letter == letter]
    if len(pair) != 2:
        raise UserError(NOT_ON_PAGE, param="pair")
    return pair


async def save(feedback: Feedback, choice: str, among: Sequence[Candidate], who: Principal) -> None:
    """Store that one response is better than each of the others, that all are equal, or remove what was stored."""
    if len(among) < 2 or choice not in (EQUAL, CLEAR, *(one.letter for one in among)):
        raise UserError(NOT_ON_PAGE, param="choice")
    best = next((one for one in among if one.letter == choice), None)
    for one, other in combinations(among, 2):
        if choice == CLEAR:
            await feedback.remove_preference(one.request_id, other.request_id, who)
        elif choice == EQUAL:
            await feedback.prefer(one.request_id, other.request_id, who, equal=True)
        elif best in (one, other):
            better, worse = (one, other) if best is one else (other, one)
            await feedback.prefer(better.request_id, worse.request_id, who)
        else:  # what was said of two others before does not depend on this
            continue


async def saved_choice(feedback: Feedback, among: Sequence[Candidate], who: Principal) -> str:
    """Return the letter of the response that is stored as the best, EQUAL, or an empty text."""
    wins: dict[str, int] = {}
    equal = 0
    for one, other in combinations(among, 2):
        try:
            found = await feedback.preference(one.request_id, other.request_id, who)
        except NotFoundError:
            continue
        if found is None:
            continue
        equal += found.equal
        if not found.equal:
            letter = one.letter if found.better == one.request_id else other.letter
            wins[letter] = wins.get(letter, 0) + 1
    if equal and equal == len(among) * (len(among) - 1) // 2:
        return EQUAL
    return next((letter for letter, count in wins.items() if count == len(among) - 1), "")


def preference_bar(
    among: Sequence[Candidate], choice: str, *, hidden: bool = False, target: str = "compare-prefer"
) -> Markup:
    """Return the question with its buttons; empty for less than two responses.

    `choice` is what is stored; with `hidden` names there is a button that shows them. `target` is the id of the
    element that holds the bar.
    """
    if len(among) < 2:
        return Markup()
    is_pair = len(among) == 2
    question = "Which response is better?" if is_pair else "Which response is best?"
    vals = {} if target == "compare-prefer" else {"pair": " ".join(one.letter for one in among)}
    suffix = "is better" if is_pair else "is best"
    labels = [(one.letter, f"{one.label} {suffix}") for one in among]
    labels.insert(1 if is_pair else len(labels), (EQUAL, "Equal" if is_pair else "All equal"))
    buttons = [_button(label, value, choice, vals, target) for value, label in labels]
    clear = _button("Clear choice", CLEAR, "", vals, target, kind="quiet") if choice else None
    show = button("Show names", kind="quiet", id="compare-reveal", hx_post="ui/compare/reveal",
                  hx_include=f"#{FORM}", hx_target=f"#{target}")  # fmt: skip
    note = _note(choice, among) if choice else el("span", question, cls="compare-question", id=f"{target}-question")
    return el(
        "div",
        el("div", note, role="status"),
        el("div", *buttons, clear, show if hidden else None, cls="answers", role="group", aria_label=question),
        cls="compare-prefer",
    )


def _button(
    label: str, value: str, choice: str, vals: dict[str, str], target: str, *, kind: str | None = None
) -> Markup:
    chosen = value == choice
    shared: dict[str, Any] = {"aria_pressed": None if value == CLEAR else "true" if chosen else "false"}
    return button(
        label,
        kind=kind if kind is not None else "primary" if chosen else "",
        id=f"{target}-{value}",
        hx_post="ui/compare/prefer",
        hx_include=f"#{FORM}",
        hx_vals=json.dumps(vals | {"choice": value}),
        hx_target=f"#{target}",
        hx_sync=f"#{target}:queue last",
        **shared,
    )


def _note(choice: str, among: Sequence[Candidate]) -> Markup:
    if choice == EQUAL:
        names = f"{among[0].label} and {among[1].label}" if len(among) == 2 else "all responses"
        text = f"✓ Saved: {names} are equal."
    else:
        better = column_label(choice)
        other = next(one.label for one in among if one.letter != choice)
        text = f"✓ Saved: {better} is {f'better than {other}' if len(among) == 2 else 'the best'}."
    return el("span", text, cls="saved")
