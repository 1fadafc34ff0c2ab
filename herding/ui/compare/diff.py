"""The word-by-word differences of two responses."""

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

MAX_WORDS = 3_000
EMPTY = empty_state("Nothing to compare yet", "Run two columns to see a diff.")
_WORD = regex.compile(rf"{APART}\s*|(?:(?!{APART})\S)+\s*")


class DiffPane:
    """Two column pickers, the preference between their responses, and the diff."""

    def __init__(self, orchestrator: Orchestrator, state: gr.State) -> None:
        with gr.Row(elem_classes=["diff-row"]):
            gr.HTML(el("h2", "Differences"))
            self.left = _picker("Compare", "compare-diff-left")
            self.right = _picker("With", "compare-diff-right")
        self.preference = PreferencePane(orchestrator, state, self.left, self.right)
        self.diff = gr.HTML(EMPTY, elem_id="compare-diff")
        on(
            [self.left.input, self.right.input],
            self.compare,
            [state, self.left, self.right],
            [self.diff, *self.preference.outputs],
            name="compare_diff",
            queue=False,
        )

    @property
    def outputs(self) -> list[Any]:
        return [self.left, self.right, self.diff, *self.preference.outputs]

    @requires(RUN)
    async def compare(self, state: CompareState, left: str | None, right: str | None, request: gr.Request) -> list[Any]:
        """Show the diff of the two chosen responses, and the preference saved for them."""
        diff = await _diff(_with_response(state), left, right)
        return [diff, *await self.preference.show(state, left, right, principal_of(request))]

    async def show(
        self, state: CompareState, principal: Principal, left: str | None = None, right: str | None = None
    ) -> list[Any]:
        """Return updates of `outputs`; the chosen columns stay chosen while they have a response."""
        columns = _with_response(state)
        letters = [column.letter for column in columns]
        first = left if left in letters else next(iter(letters), None)
        others = [letter for letter in letters if letter != first]
        second = right if right in others else next(iter(others), None)
        choices = [(f"Column {letter}", letter) for letter in letters]
        pickers = [gr.update(choices=choices, value=held, interactive=len(columns) > 1) for held in (first, second)]
        preference = await self.preference.show(state, first, second, principal)
        return [*pickers, await _diff(columns, first, second), *preference]


def word_diff(left: str, right: str) -> Markup:
    """Return the words of both texts in the order of the second, with removed and added words marked."""
    old, new = _WORD.findall(left), _WORD.findall(right)
    cut = max(len(old), len(new)) > MAX_WORDS
    old, new = old[:MAX_WORDS], new[:MAX_WORDS]
    steps = SequenceMatcher(None, [word.strip() for word in old], [word.strip() for word in new]).get_opcodes()
    parts: list[Markup] = []
    removed = added = 0
    for step, a, b, c, d in steps:
        if step == "equal":
            parts.append(el("span", "".join(new[c:d])))
            continue
        removed, added = removed + b - a, added + d - c
        parts += [_mark("del", "removed", old[a:b])] if b > a else []
        parts += [_mark("ins", "added", new[c:d])] if d > c else []
    changes = f"{plural(removed, 'word')} removed, {plural(added, 'word')} added."
    summary = changes if removed or added else "No differences."
    note = f" Only the first {MAX_WORDS:,} words are compared." if cut else ""
    return join([el("p", summary, note, cls="muted", role="status"), el("pre", *parts, cls="code diff", tabindex="0")])


def _mark(name: str, label: str, words: Sequence[str]) -> Markup:
    """Return the words with a label for screen readers; colour alone must not carry the meaning."""
    return join([el(name, el("span", f"{label}: ", cls="sr"), "".join(words).rstrip()), " "])


def _with_response(state: CompareState) -> list[Column]:
    return [column for column in state.open_columns if column.answer]


async def _diff(columns: Sequence[Column], left: str | None, right: str | None) -> Markup:
    texts = {column.letter: column.answer for column in columns}
    if left not in texts or right not in texts:
        return EMPTY
    return await asyncio.to_thread(word_diff, texts[left], texts[right])


def _picker(label: str, elem_id: str) -> Any:
    return gr.Dropdown([], label=label, interactive=False, scale=0, min_width=150, elem_id=elem_id)
