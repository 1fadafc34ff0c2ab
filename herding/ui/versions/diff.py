"""The differences of two versions."""

from __future__ import annotations

import asyncio
from typing import Any

from markupsafe import Markup

from herding.errors import HerdingError
from herding.studio.studio import MANY, Studio
from herding.ui.kit import diff_view
from herding.ui.kit.fields import checkbox, select_field
from herding.ui.kit.format import el, empty_state, failure
from herding.ui.versions.detail import link
from herding.ui.versions.list import ACTION
from herding.ui.versions.snapshot import Choice, PromptSnapshot
from herding.values import Principal

FIRST_VERSION = empty_state("First version", "There is no earlier version. Choose another version to compare.")


async def diff_section(studio: Studio, snapshot: PromptSnapshot, choice: Choice, who: Principal) -> Markup:
    """Return the two versions to choose, and their differences."""
    newest, old, new = snapshot.newest, snapshot.old, snapshot.number
    numbers = sorted({*range(max(1, newest - MANY + 1), newest + 1), old, new}, reverse=True)
    options = [(" · ".join((f"v{number}", *snapshot.labels_of(number))), str(number)) for number in numbers]
    shared: dict[str, Any] = {"hx_get": "ui/versions/body", "hx_trigger": "change", "form": "versions-form", **ACTION}
    pair = {"prompt": snapshot.key, "old": str(old), "new": str(new)}
    head = el(
        "div",
        el("h2", "Differences"),
        select_field("From", "old", options, str(old), id="version-old", **shared),
        select_field("To", "new", options, str(new), id="version-new", **shared),
        checkbox("Unified", "unified", checked=choice.unified, id="version-inline", **shared),
        link("compare", "Compare these versions", pair, who, id="version-compare") if newest > 1 else None,
        cls="versions-diff-head",
    )
    shown = await _diff(studio, snapshot.key, old, new, who, unified=choice.unified)
    return el("section", head, el("div", shown, id="version-diff"), cls="versions-sheet", aria_label="Differences")


async def _diff(studio: Studio, key: str, old: int, new: int, who: Principal, *, unified: bool) -> Markup:
    if old == new == 1:
        return FIRST_VERSION
    try:
        return await version_diff(studio, key, old, new, who, unified=unified)
    except HerdingError as error:
        return failure("Can't compare these versions", error.message)


async def version_diff(
    studio: Studio, key: str, old: int, new: int, who: Principal, *, unified: bool = False
) -> Markup:
    """Return the diff of two versions; it is rendered in a thread."""
    found = await studio.diff(key, old, new, who)
    return await asyncio.to_thread(diff_view.render_diff, found, inline=unified)
