"""What is different between two versions of a prompt, as HTML: two sides, or one below the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from markupsafe import Markup

from herding.prompts.diff import FieldDiff, Line, Mark, PromptDiff
from herding.ui.kit.format import chip, el, empty_state, join, plural

CONTEXT = 3
"""Lines that are the same and stay in permissions before and after a change."""

MOST_LINES = 2_000
"""Lines of a field that are drawn."""

SECTIONS = {
    "template": "Template",
    "variables": "Variables",
    "parameters": "Parameters",
    "checks": "Checks",
    "other": "Other keys",
}
SAME = empty_state("No difference", "Both hold the same: template, variables, parameters, checks and all else.")


def render_diff(diff: PromptDiff, *, inline: bool = False) -> Markup:
    """All fields that are different, by section; on a narrow screen the sides stand one below the other anyway."""
    if not diff.fields:
        return SAME
    added, gone = (plural(_count(diff.fields, kind), "line") for kind in ("added", "removed"))
    said = f"{plural(len(diff.fields), 'field')} changed: {added} added, {gone} removed."
    shown = [
        el("section", el("h3", title), *(_field(field) for field in diff.fields if field.section == section))
        for section, title in SECTIONS.items()
        if any(field.section == section for field in diff.fields)
    ]
    head = el("p", said, cls="muted", role="status")
    return el("div", head, *shown, cls="version-diff inline" if inline else "version-diff")


def _count(fields: Iterable[FieldDiff], kind: str) -> int:
    """Lines that only one side has; one that changed is on both."""
    return sum(line.kind in (kind, "changed") for field in fields for line in field.lines)


def _field(field: FieldDiff) -> Markup:
    mark = chip("new", "good") if field.old is None else chip("gone", "bad") if field.new is None else None
    lines = field.lines[:MOST_LINES]
    left = len(field.lines) - len(lines)
    more = el("p", f"{plural(left, 'line')} more: look at the whole files.", cls="muted") if left else None
    drawn = el("div", *_folded(lines), cls="diff-lines", tabindex="0", role="group", aria_label=field.name)
    return el("div", el("h4", el("code", field.name), " ", mark), drawn, more, cls="diff-field")


def _folded(lines: Sequence[Line]) -> list[Markup]:
    """The lines; long runs of those that are the same are folded away."""
    found: list[Markup] = []
    groups = [(same, list(run)) for same, run in groupby(lines, key=lambda line: line.kind == "same")]
    for place, (same, run) in enumerate(groups):
        head = CONTEXT if place else 0
        tail = CONTEXT if place < len(groups) - 1 else 0
        if not same or len(run) <= head + tail + 1:
            found += [_line(line) for line in run]
            continue
        hidden = run[head : len(run) - tail]
        fold = el("summary", f"{plural(len(hidden), 'line')} the same")
        found += [_line(line) for line in run[:head]]
        found.append(el("details", fold, *(_line(line) for line in hidden), cls="fold"))
        found += [_line(line) for line in run[len(run) - tail :]]
    return found


def _line(line: Line) -> Markup:
    old = _side("old", line.old_number, line.old, "del", "removed" if line.kind != "same" else "")
    new = _side("new", line.new_number, line.new, "ins", "added" if line.kind != "same" else "")
    return el("div", old, new, cls=f"diff-line {line.kind}")


def _side(side: str, number: int | None, marks: Sequence[Mark] | None, name: str, told: str) -> Markup:
    """A line of one side: its number, and its text with what the other side does not have."""
    if marks is None:
        return el("div", cls=f"side {side} none")
    spoken = el("span", f"{told}: ", cls="sr") if told else None
    text = join([spoken, *(el(name, mark.text) if mark.changed and mark.text else mark.text for mark in marks)])
    return el("div", el("span", number, cls="no"), el("span", text, cls="said-line"), cls=f"side {side}")
