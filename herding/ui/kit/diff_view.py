"""The differences between two versions of a prompt, as HTML: side by side or unified."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from markupsafe import Markup

from herding.prompts.diff import FieldDiff, Line, Mark, PromptDiff
from herding.ui.kit.format import chip, el, empty_state, join, plural

CONTEXT = 3
"""Unchanged lines shown before and after a change."""

MAX_LINES = 2_000
"""Lines shown per field."""

SECTIONS = {
    "template": "Template",
    "variables": "Variables",
    "parameters": "Parameters",
    "checks": "Checks",
    "other": "Other keys",
}
SAME = empty_state("No differences", "Both versions are identical.")


def render_diff(diff: PromptDiff, *, inline: bool = False) -> Markup:
    """Return the fields that differ, by section; narrow screens always show the unified form."""
    if not diff.fields:
        return SAME
    added, gone = (plural(_count(diff.fields, kind), "line") for kind in ("added", "removed"))
    summary = f"{plural(len(diff.fields), 'field')} changed: {added} added, {gone} removed."
    shown = [
        el("section", el("h3", title), *(_field(field) for field in diff.fields if field.section == section))
        for section, title in SECTIONS.items()
        if any(field.section == section for field in diff.fields)
    ]
    head = el("p", summary, cls="muted", role="status")
    return el("div", head, *shown, cls="version-diff inline" if inline else "version-diff")


def _count(fields: Iterable[FieldDiff], kind: str) -> int:
    """Count the lines that only one side has; a changed line counts for both."""
    return sum(line.kind in (kind, "changed") for field in fields for line in field.lines)


def _field(field: FieldDiff) -> Markup:
    mark = chip("new", "good") if field.old is None else chip("removed", "bad") if field.new is None else None
    lines = field.lines[:MAX_LINES]
    left = len(field.lines) - len(lines)
    more = el("p", f"{plural(left, 'line')} more; see the full files.", cls="muted") if left else None
    drawn = el("div", *_collapsed(lines), cls="diff-lines", tabindex="0", role="group", aria_label=field.name)
    return el("div", el("h3", el("code", field.name), " ", mark), drawn, more, cls="diff-field")


def _collapsed(lines: Sequence[Line]) -> list[Markup]:
    """Return the lines; long runs of unchanged lines are collapsed."""
    found: list[Markup] = []
    groups = [(same, list(run)) for same, run in groupby(lines, key=lambda line: line.kind == "same")]
    for number, (same, run) in enumerate(groups):
        head = CONTEXT if number else 0
        tail = CONTEXT if number < len(groups) - 1 else 0
        if not same or len(run) <= head + tail + 1:
            found += [_line(line) for line in run]
            continue
        hidden = run[head : len(run) - tail]
        fold = el("summary", f"{plural(len(hidden), 'unchanged line')}")
        found += [_line(line) for line in run[:head]]
        found.append(el("details", fold, *(_line(line) for line in hidden), cls="fold"))
        found += [_line(line) for line in run[len(run) - tail :]]
    return found


def _line(line: Line) -> Markup:
    old = _side("old", line.old_number, line.old, "del", "removed" if line.kind != "same" else "")
    new = _side("new", line.new_number, line.new, "ins", "added" if line.kind != "same" else "")
    return el("div", old, new, cls=f"diff-line {line.kind}")


def _side(side: str, number: int | None, marks: Sequence[Mark] | None, tag: str, change: str) -> Markup:
    """Return one side of a line: its number, and its text with the changes marked."""
    if marks is None:
        return el("div", cls=f"side {side} none")
    prefix = el("span", f"{change}: ", cls="sr") if change else None
    text = join([prefix, *(el(tag, mark.text) if mark.changed and mark.text else mark.text for mark in marks)])
    return el("div", el("span", number, cls="no"), el("span", text, cls="line-text"), cls=f"side {side}")
