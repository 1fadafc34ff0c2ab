"""The versions of a prompt as a table whose rows can be chosen, and all about one of them."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from markupsafe import Markup

from herding.studio.studio import Version
from herding.studio.sync import FILE
from herding.ui.kit.format import chip, datetime_tag, el, join, key_values, panel, truncate
from herding.ui.versions.read import PAGE, Seen, View
from herding.values import PromptVersion

SOURCES = {"file": "file", "ui": "editor", "api": "API", "import": "bundle"}
SHORT = 8
"""Characters of a hash that are shown."""

_TONES = {"prod": "good", "test": "busy", "dev": "calm"}


def rows(seen: Seen, view: View) -> Markup:
    """The versions of the page, newest first."""
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in ("Version", "What", "Who and when", "From"))))
    body = el("tbody", *(_row(version, seen, current=version.number == view.chosen) for version in seen.page))
    return el("table", head, body, cls="entries versions", data_detail="version-detail")


def place(seen: Seen, view: View) -> Markup:
    """Which of the versions are on the page."""
    last = min(seen.newest, view.offset + PAGE)
    return el("span", f"{view.offset + 1:,}–{last:,} of {seen.newest:,}", cls="muted", role="status")


def detail(version: Version, *, newest: int) -> Markup:
    """All about one version."""
    one = version.about
    marks = [label_chip(label) for label in version.labels]
    here = chip("newest", "accent") if one.number == newest else None
    shown = key_values(
        [
            ("By", person(one.author)),
            ("When", datetime_tag(one.created_at)),
            ("From", SOURCES[one.source]),
            ("Content", el("code", one.sha256[:SHORT], title=f"SHA-256 {one.sha256}")),
        ],
        cls="facts two",
    )
    back = el("a", "‹ Back to the list", href="#version-list", cls="back")
    head = el("div", el("h2", f"Version {one.number}"), join([here, *marks]), cls="page-head chips")
    said = el("p", one.message, cls="version-message") if one.message else None
    return join([back, head, said, shown])


def download(key: str, number: int) -> Markup:
    """A link to a version as the file that it would be."""
    name = key.rpartition("/")[2]
    href = f"api/v1/prompts/{quote(key)}/yaml?{urlencode({'version': number})}"
    return el("a", "Download YAML", href=href, download=f"{name}@{number}.yaml", cls="button")


def kept_apart(version: Version, *, newest: int) -> Markup:
    """That the newest version is not in the prompt's file; nothing where it is."""
    if version.filed == newest:
        return Markup()
    state = f"Its file still holds version {version.filed}" if version.filed else "It has no file"
    why = (
        f"{state}: the prompts directory cannot be written from here, or the file holds several prompts. "
        "Nothing is lost: every version is in the database. To have them as files, download the YAML of a version, "
        "or all prompts as a zip below."
    )
    return panel("calm", f"Version {newest} is kept in the database only", el("p", why), role="status")


def label_chip(name: str) -> Markup:
    """A label that stands for a version."""
    return chip(name, _TONES.get(name, "plain"), title="label")


def person(author: str) -> str:
    """Who did something, as far as that is known."""
    return "the file" if author == FILE else author or "not known"


def _row(version: PromptVersion, seen: Seen, *, current: bool) -> Markup:
    spoken = el("span", ": show details", cls="sr")
    number = str(version.number)
    pick = el("button", f"Version {number}", spoken, type="button", cls="row-pick", data_pick=number)
    marks = [label_chip(label) for label in seen.marks(version.number)]
    said = truncate(version.message, 160)
    cells: list[list[object]] = [
        [pick, el("div", *marks, cls="chips") if marks else None],
        [el("div", said, cls="snippet") if said else el("span", "no message", cls="muted")],
        [el("div", person(version.author)), el("div", datetime_tag(version.created_at), cls="muted")],
        [chip(SOURCES[version.source]), el("div", el("code", version.sha256[:SHORT]))],
    ]
    mark = "true" if current else None
    return el("tr", *(el("td", *cell) for cell in cells), data_row="", aria_current=mark)
