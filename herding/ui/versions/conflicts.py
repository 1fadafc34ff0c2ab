"""Conflicts: prompts that were saved while their files were edited."""

from __future__ import annotations

import json
from collections.abc import Sequence

from markupsafe import Markup

from herding.access.operations import SAVE
from herding.errors import HerdingError
from herding.studio.studio import Studio
from herding.ui.kit.fields import button
from herding.ui.kit.format import datetime_tag, el, failure, join, key_values, panel, plural
from herding.ui.kit.links import tab_address
from herding.ui.versions.detail import author_name
from herding.ui.versions.diff import version_diff
from herding.ui.versions.list import ACTION
from herding.ui.versions.snapshot import PromptSnapshot, visible_conflicts
from herding.values import Principal, PromptConflict, PromptVersion

TITLE = "Conflicting changes"
ADVICE = "Both are saved as versions. Choose which one becomes the latest version and is written to the file."


async def conflict_section(studio: Studio, snapshot: PromptSnapshot, who: Principal, *, unified: bool) -> Markup | None:
    """Return the two sides of the prompt's conflict, with a button for each; None without a conflict."""
    conflict = snapshot.conflict
    if conflict is None:
        return None
    ours, theirs = conflict.ours, conflict.theirs
    try:
        sides = [(await studio.version(snapshot.key, number, who)).about for number in (ours, theirs)]
        diff = await version_diff(studio, snapshot.key, ours, theirs, who, unified=unified)
    except HerdingError as error:
        return failure(TITLE, f"These versions can't be shown: {error.message}")
    seen = conflict_stamp(conflict)
    buttons = [
        button(
            label,
            id=f"conflict-{side}",
            hx_post="ui/versions/resolve",
            hx_vals=json.dumps({"side": side, "seen": seen}),
            **ACTION,
        )
        for side, label in (("ours", f"Keep v{ours} (saved)"), ("theirs", f"Keep v{theirs} (file)"))
    ]
    head = _head(conflict, sides[0], sides[1])
    answers = el("div", *buttons, cls="answers")
    return el("section", head, answers, el("div", diff, id="conflict-diff"), id="conflict",
              cls="versions-sheet versions-conflict", aria_label=TITLE)  # fmt: skip


def conflict_stamp(conflict: PromptConflict) -> str:
    """Return a text that differs for another conflict."""
    return f"{conflict.base}-{conflict.ours}-{conflict.theirs}-{conflict.at}"


async def overview_banner(studio: Studio, who: Principal) -> Markup:
    """Return the banner of all conflicts that the principal may resolve."""
    return banner(await visible_conflicts(studio, who)) if SAVE in who.rights else Markup()


def banner(conflicts: Sequence[PromptConflict], *, current: str = "") -> Markup:
    """Return links to the prompts with a conflict, except for the current one."""
    others = [conflict for conflict in conflicts if conflict.key != current]
    if not others:
        return Markup()
    title = "1 prompt has a conflict" if len(others) == 1 else f"{plural(len(others), 'prompt')} have conflicts"
    links: list[Markup | str] = []
    for conflict in others:
        address = tab_address("versions", prompt=conflict.key)
        links += [", " if links else "", el("a", el("code", conflict.key), href=address)]
    return panel("warn", title, el("p", "Choose which version to keep: ", *links), role="status")


def _head(conflict: PromptConflict, ours: PromptVersion, theirs: PromptVersion) -> Markup:
    base = f"v{conflict.base}" if conflict.base else "the prompt"
    text = el("p", f"Two changes of {base} conflict, found ", datetime_tag(conflict.at), ". ", ADVICE)
    sides = [(f"Saved: v{ours.number}", _side(ours)), (f"File: v{theirs.number}", _side(theirs))]
    facts = key_values(sides, cls="facts conflict-sides")
    return el("div", el("h2", TITLE), text, facts, id="conflict-head")


def _side(version: PromptVersion) -> Markup:
    note = el("div", version.message, cls="version-message") if version.message else None
    return join(["by ", author_name(version.author), " · ", datetime_tag(version.created_at), note])
