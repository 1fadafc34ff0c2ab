"""Searches, sorts and groups prompts by folder."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from herding.ui.kit.format import el, plural
from herding.values import PromptInfo

PAGE_SIZE = 20
"""Cards drawn at first, and added by "Show more"."""

_DIGITS = re.compile(r"([0-9]+)")
MAX_FOLDERS = 30
MAX_SEARCH = 500
ANY_TAG = ""
TOP = "/"
"""The folder of all prompts; no key starts like this."""

NAME, USE, STARS, RECENT = "name", "use", "stars", "recent"
ORDERS: Mapping[str, tuple[str, Callable[[PromptInfo], tuple[Any, ...]]]] = {
    NAME: ("Name", lambda _: ()),
    USE: ("Most used", lambda prompt: (-prompt.stats.uses,)),
    STARS: ("Best rated", lambda prompt: (-(prompt.stats.mean_stars or 0), -prompt.stats.rated)),
    RECENT: ("Last used", lambda prompt: (-(prompt.stats.last_used_at or 0),)),
}
"""The label of each order, and its sort key before the name."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """The filters of the list."""

    search: str = ""
    tag: str = ANY_TAG
    order: str = NAME
    folder: str = TOP

    @classmethod
    def parse(cls, search: object, tag: object, order: object, folder: object) -> SearchQuery:
        """Return the filters that a page sent; invalid values become the defaults."""
        known = str(order) if order in ORDERS else NAME
        return cls(str(search or "")[:MAX_SEARCH], str(tag or ANY_TAG), known, str(folder or TOP))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The matches: `prompts` in the open folder, `everywhere` in all folders."""

    prompts: Sequence[PromptInfo]
    everywhere: Sequence[PromptInfo]


def find(prompts: Iterable[PromptInfo], query: SearchQuery) -> SearchResult:
    """Return the prompts that have the tag and contain all words of the search."""
    words, before = normalize(query.search).split(), ORDERS[query.order][1]
    matches = [prompt for prompt in prompts if _matches(prompt, words, query.tag)]
    matches.sort(key=lambda prompt: (*before(prompt), natural_key(prompt.name), prompt.key))
    return SearchResult([prompt for prompt in matches if in_folder(prompt.key, query.folder)], matches)


def normalize(text: str) -> str:
    """Return `text` in lower case without accents."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in decomposed if not unicodedata.combining(part))


def natural_key(text: str) -> list[str | tuple[int, str]]:
    """Return a key for natural sorting: 2 before 10."""
    parts = _DIGITS.split(normalize(text))
    return [(len(part.lstrip("0")), part.lstrip("0")) if place % 2 else part for place, part in enumerate(parts)]


def in_folder(key: str, folder: str) -> bool:
    """Return True if a prompt is in a folder or below it."""
    return folder == TOP or key.startswith(f"{folder}/")


def folders(keys: Iterable[str], at: str) -> dict[str, int]:
    """Return the folders directly in `at`, sorted, with their number of prompts."""
    prefix = "" if at == TOP else f"{at}/"
    names = (key.removeprefix(prefix).rpartition("/")[0].partition("/")[0] for key in keys if key.startswith(prefix))
    counts = Counter(name for name in names if name)
    return {prefix + name: counts[name] for name in sorted(counts, key=natural_key)}


def folder_nav(found: SearchResult, at: str) -> Markup:
    """Return the path to the folder `at` and the folders in it; empty if there are no folders."""
    keys = [prompt.key for prompt in found.everywhere]
    inside = folders(keys, at)
    if at == TOP and not inside:
        return Markup()
    parts = [] if at == TOP else at.split("/")
    way = [(TOP, "All"), *(("/".join(parts[: end + 1]), part) for end, part in enumerate(parts))]
    crumbs = [
        _folder(path, label, sum(in_folder(key, path) for key in keys), current=path == at) for path, label in way
    ]
    shown = [_folder(path, path.rpartition("/")[2], count) for path, count in list(inside.items())[:MAX_FOLDERS]]
    left = len(inside) - len(shown)
    more = el("span", f"and {plural(left, 'folder')} more; use the search", cls="muted") if left > 0 else None
    rest = el("div", *shown, more, cls="folder-row") if shown else None
    return el("nav", el("div", *crumbs, cls="folder-row way"), rest, cls="folders", aria_label="Folders")


def _folder(path: str, label: str, count: int, *, current: bool = False) -> Markup:
    number = el("span", f"{count:,}", cls="folder-count")
    spoken = el("span", f" ({plural(count, 'prompt')})", cls="sr")
    mark = "true" if current else None
    return el(
        "button",
        label,
        number,
        spoken,
        type="button",
        cls="folder",
        name="folder",
        value=path,
        aria_current=mark,
        hx_get="ui/overview/list",
        hx_include="#overview-filters",
        hx_target="#overview-list",
    )


def _matches(prompt: PromptInfo, words: Sequence[str], tag: str) -> bool:
    if tag and tag not in prompt.tags:
        return False
    if not words:
        return True
    text = normalize("\n".join((prompt.key, prompt.name, prompt.description, *prompt.tags, prompt.body)))
    return all(word in text for word in words)
