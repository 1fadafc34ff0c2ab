"""The word-by-word differences of two responses."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

import regex
from markupsafe import Markup

from herding.prompts.diff import APART
from herding.ui.compare.columns import column_label
from herding.ui.kit.fields import select_field
from herding.ui.kit.format import el, join, plural

MAX_WORDS = 3_000
_WORD = regex.compile(rf"{APART}\s*|(?:(?!{APART})\S)+\s*")


def diff_section(letters: Sequence[str], left: str, right: str, diff: Markup, preference: Markup) -> Markup:
    """Return the pickers of two columns, and their differences; `compare.js` asks again for other columns."""
    options = [(f"Column {column_label(letter)}" if len(letter) == 1 else column_label(letter), letter)
               for letter in letters]  # fmt: skip
    row = el(
        "div",
        el("h2", "Differences"),
        select_field("Compare", "left", options, left, id="compare-diff-left", hidden_label=True),
        el("span", "with", cls="muted"),
        select_field("With", "right", options, right, id="compare-diff-right", hidden_label=True),
        cls="compare-diff-row",
    )
    return join([row, diff, el("div", preference, id="compare-pair") if preference else None])


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
