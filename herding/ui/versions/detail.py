"""One version: its facts, and its YAML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup

from herding.access.operations import RUN, SAVE
from herding.studio.studio import Version
from herding.studio.sync import FILE
from herding.ui.kit.fields import confirm_button
from herding.ui.kit.format import chip, datetime_tag, el, join, key_values, panel
from herding.ui.kit.links import tab_address
from herding.ui.kit.prompt_text import label_name
from herding.ui.versions.snapshot import PromptSnapshot
from herding.values import Principal

SOURCES = {"file": "file", "ui": "editor", "api": "API", "import": "import"}
HASH_LENGTH = 8
"""Characters of a hash that are shown."""


def detail(snapshot: PromptSnapshot, who: Principal, action: dict[str, Any]) -> Markup:
    """Return the facts of the open version; `action` are the attributes of what draws the prompt anew."""
    version, number = snapshot.version, snapshot.number
    about = version.about
    labels = [label_name(label) for label in version.labels]
    latest = chip("latest", "accent") if number == snapshot.newest else None
    table = key_values(
        [
            ("Author", author_name(about.author)),
            ("Saved", datetime_tag(about.created_at)),
            ("Source", SOURCES[about.source]),
            ("Hash", el("code", about.sha256[:HASH_LENGTH], title=f"SHA-256 {about.sha256}")),
        ],
        cls="facts two",
    )
    head = el("div", el("h2", f"Version {number}"), join([latest, *labels]), cls="page-head chips")
    note = el("p", about.message, cls="version-message") if about.message else None
    restore = None
    if SAVE in who.rights and number != snapshot.newest:
        restore = confirm_button(
            f"Restore v{number}",
            f"This saves the content of v{number} as v{snapshot.newest + 1}. Labels stay where they are.",
            "Restore",
            kind="",
            id="version-restore",
            hx_post="ui/versions/restore",
            **action,
        )
    fields = {"prompt": snapshot.key} | ({"version": str(number)} if number != snapshot.newest else {})
    actions = [link("engineer", "Open in engineer", fields, who, id="version-open"), restore]
    answers = el("div", *actions, cls="answers") if any(actions) else None
    return el("div", head, note, table, answers, id="version-detail", cls="versions-facts")


def link(tab: str, label: str, fields: Mapping[str, str], who: Principal, **attributes: str) -> Markup | None:
    """Return a link to a tab that can run prompts, None for a role without it."""
    if tab not in who.tabs or RUN not in who.rights:
        return None
    return el("a", label, href=tab_address(tab, **fields), cls="btn", **attributes)


def yaml_section(snapshot: PromptSnapshot) -> Markup:
    """Return the YAML of the open version, which is read when it is unfolded, and its download."""
    number, name = snapshot.number, snapshot.key.rpartition("/")[2]
    href = f"api/v1/prompts/{quote(snapshot.key)}/yaml?{urlencode({'version': number})}"
    download = el("a", "Download YAML", href=href, download=f"{name}@{number}.yaml", cls="btn")
    text = el("div", id="version-text")
    whole = el(
        "details",
        el("summary", f"Full YAML (v{number})"),
        text,
        hx_get=f"ui/versions/yaml?{urlencode({'prompt': snapshot.key, 'new': number})}",
        hx_trigger="toggle once",
        hx_target="#version-text",
        cls="versions-yaml",
        id="version-yaml",
    )
    return el("div", whole, download, cls="versions-file")


def yaml_text(text: str, number: int) -> Markup:
    """Return the YAML of a version."""
    return el("pre", text, cls="raw", tabindex="0", role="region", aria_label=f"Version {number}")


def not_in_file(version: Version, *, newest: int) -> Markup:
    """Return the notice that the latest version is not in the prompt's file, empty if it is."""
    if version.filed == newest:
        return Markup()
    state = f"Its file still contains v{version.filed}" if version.filed else "It has no file"
    text = (
        f"{state}: the prompts directory is read-only, or the file contains several prompts. "
        "To get files, download the YAML of a version, or all prompts as a zip below."
    )
    return panel("calm", f"v{newest} is stored in the database only", el("p", text), role="status")


def author_name(author: str) -> str:
    """Return the author of a version as shown."""
    return "file edit" if author == FILE else author or "unknown"
