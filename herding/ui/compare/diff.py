"""What two answers have in common and where they part, word by word, and which of them is better."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import gradio as gr
import regex
from markupsafe import Markup

from herding.access.operations import RUN
from herding.orchestrator import Orchestrator
from herding.prompts.diff import APART
from herding.ui.compare.preference import PreferencePane
from herding.ui.compare.state import Column, CompareState
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, empty_state, join, plural
from herding.values import Principal

MOST_WORDS = 3_000
NONE = empty_state("Nothing to compare yet", "Once two columns have an answer, their words stand side by side here.")
_WORD = regex.compile(rf"{APART}\s*|(?:(?!{APART})\S)+\s*")


class DiffPane:
    """Two pickers of columns, which of their answers is better, and the differences of these."""

    def __init__(self, orchestrator: Orchestrator, bench: gr.State) -> None:
        with gr.Row(elem_classes=["diff-row"]):
            gr.HTML(el("h2", "Differences"))
            self.left = _picker("Answer of", "compare-diff-left")
            self.right = _picker("against", "compare-diff-right")
        self.preference = PreferencePane(orchestrator, bench, self.left, self.right)
        self.shown = gr.HTML(NONE, elem_id="compare-diff")
        given = [bench, self.left, self.right]
        changed, shown = [self.left.input, self.right.input], [self.shown, *self.preference.outputs]
        on(changed, self.differ, given, shown, name="compare_diff", queue=False)

    @property
    def outputs(self) -> list[Any]:
        return [self.left, self.right, self.shown, *self.preference.outputs]

    @requires(RUN)
    async def differ(self, bench: CompareState, left: str | None, right: str | None, request: gr.Request) -> list[Any]:
        """The differences of the two chosen answers, and which of them was said to be better."""
        between = await _between(_answered(bench), left, right)
        return [between, *await self.preference.shows(bench, left, right, principal_of(request))]

    async def shows(
        self, bench: CompareState, principal: Principal, left: str | None = None, right: str | None = None
    ) -> list[Any]:
        """Updates of `outputs` for the answers that are there; the chosen columns stay where they have one."""
        lanes = _answered(bench)
        letters = [lane.letter for lane in lanes]
        first = left if left in letters else next(iter(letters), None)
        others = [letter for letter in letters if letter != first]
        second = right if right in others else next(iter(others), None)
        choices = [(f"Column {letter}", letter) for letter in letters]
        pickers = [gr.update(choices=choices, value=held, interactive=len(lanes) > 1) for held in (first, second)]
        preference = await self.preference.shows(bench, first, second, principal)
        return [*pickers, await _between(lanes, first, second), *preference]


def words(left: str, right: str) -> Markup:
    """The words of both texts in the order of the second; what only one of them has is marked."""
    old, new = _WORD.findall(left), _WORD.findall(right)
    cut = max(len(old), len(new)) > MOST_WORDS
    old, new = old[:MOST_WORDS], new[:MOST_WORDS]
    steps = SequenceMatcher(None, [word.strip() for word in old], [word.strip() for word in new]).get_opcodes()
    parts: list[Markup] = []
    gone = come = 0
    for step, a, b, c, d in steps:
        if step == "equal":
            parts.append(el("span", "".join(new[c:d])))
            continue
        gone, come = gone + b - a, come + d - c
        parts += [_mark("del", "left out", old[a:b])] if b > a else []
        parts += [_mark("ins", "added", new[c:d])] if d > c else []
    told = f"{plural(gone, 'word')} only in the first, {plural(come, 'word')} only in the second."
    said = "The same words." if not gone and not come else told
    note = f" Only the first {MOST_WORDS:,} words are compared." if cut else ""
    return join([el("p", said, note, cls="muted", role="status"), el("pre", *parts, cls="code diff", tabindex="0")])


def _mark(name: str, told: str, found: Sequence[str]) -> Markup:
    """Marked by a line, a sign and a name, so that nobody needs its colour."""
    return join([el(name, el("span", f"{told}: ", cls="sr"), "".join(found).rstrip()), " "])


def _answered(bench: CompareState) -> list[Column]:
    return [lane for lane in bench.opened if lane.answer]


async def _between(lanes: Sequence[Column], left: str | None, right: str | None) -> Markup:
    answers = {lane.letter: lane.answer for lane in lanes}
    if left not in answers or right not in answers:
        return NONE
    return await asyncio.to_thread(words, answers[left], answers[right])


def _picker(label: str, elem_id: str) -> Any:
    return gr.Dropdown([], label=label, interactive=False, scale=0, min_width=150, elem_id=elem_id)
