"""Searches, sorts and groups prompts by folder."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from herding.ui.kit.format import el, join, plural
from herding.values import PromptInfo

PAGE_SIZE = 50
"""Rows drawn at first, and added by "Show more"."""

_DIGITS = re.compile(r"([0-9]+)")
MAX_FOLDERS = 30
MAX_SEARCH = 500
EXCERPT = 40
"""Characters before a match that an excerpt shows."""

ANY_TAG = ""
TOP = "/"
"""The folder of all prompts; no key starts like this."""

NAME, MODELS, USE, STARS, RECENT, PUBLISHED = "name", "models", "use", "stars", "recent", "published"
SortKey = Callable[[PromptInfo], tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by: its label, its sort key before the name, and whether large values come first."""

    label: str
    key: SortKey
    descending: bool = False


ORDERS: Mapping[str, Order] = {
    NAME: Order("Prompt", lambda _: ()),
    MODELS: Order("Models", lambda prompt: (natural_key((*prompt.target_models, "")[0].rpartition("/")[2]),)),
    USE: Order("Runs", lambda prompt: (prompt.stats.uses,), descending=True),
    STARS: Order("Rating", lambda prompt: (prompt.stats.mean_stars or 0, prompt.stats.rated), descending=True),
    RECENT: Order("Last run", lambda prompt: (prompt.stats.last_used_at or 0,), descending=True),
    PUBLISHED: Order("Published", lambda prompt: (prompt.labels.get("prod", 0), prompt.newest), descending=True),
}
"""The orders by their names in the address; a minus before the name reverses one."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """The filters of the list. `reverse` turns the direction in which an order begins."""

    search: str = ""
    tag: str = ANY_TAG
    order: str = NAME
    folder: str = TOP
    reverse: bool = False

    @classmethod
    def parse(cls, search: object, tag: object, order: object, folder: object) -> SearchQuery:
        """Return the filters that a page sent; invalid values become the defaults."""
        given = str(order or "")
        name = given.removeprefix("-")
        known, reverse = (name, given != name) if name in ORDERS else (NAME, False)
        return cls(str(search or "")[:MAX_SEARCH], str(tag or ANY_TAG), known, str(folder or TOP), reverse)

    @property
    def sort(self) -> str:
        """The order as the address names it."""
        return f"-{self.order}" if self.reverse else self.order

    @property
    def descending(self) -> bool:
        """True if large values come first."""
        return ORDERS[self.order].descending != self.reverse


@dataclass(frozen=True, slots=True)
class SearchResult:
    """The matches: `prompts` in the open folder, `everywhere` in all folders."""

    prompts: Sequence[PromptInfo]
    everywhere: Sequence[PromptInfo]


def find(prompts: Iterable[PromptInfo], query: SearchQuery) -> SearchResult:
    """Return the prompts that have the tag and contain all words of the search.

    Sorted by name, those with all words in the name or the ID come first.
    """
    words = normalize(query.search).split()
    matches = [prompt for prompt in prompts if _matches(prompt, words, query.tag)]
    matches.sort(
        key=lambda prompt: (natural_key(prompt.name), prompt.key), reverse=query.order == NAME and query.reverse
    )
    if query.order != NAME:
        matches.sort(key=ORDERS[query.order].key, reverse=query.descending)
    elif words:
        matches.sort(key=lambda prompt: not _contains(f"{prompt.name}\n{prompt.key}", words))
    return SearchResult([prompt for prompt in matches if in_folder(prompt.key, query.folder)], matches)


def excerpt(prompt: PromptInfo, search: str) -> Markup | None:
    """Return where a search was found in the text of a prompt; None if a row shows it anyway, or nothing was found."""
    words = normalize(search).split()
    shown = "\n".join((prompt.name, prompt.key, prompt.description, *prompt.tags))
    missing = next((word for word in words if word not in normalize(shown)), None)
    if missing is None:
        return None
    text = " ".join(prompt.body.split())
    at = normalize(text).find(missing) if text.isascii() else text.lower().find(missing)
    if at < 0:
        return None
    begin, end = max(0, at - EXCERPT), at + len(missing)
    before = f"{'… ' if begin else ''}{text[begin:at]}"
    return join([before, el("mark", text[at:end]), text[end : end + 2 * EXCERPT]])


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
        value=path,
        aria_current=mark,
        data_sets="overview-folder",
    )


def _matches(prompt: PromptInfo, words: Sequence[str], tag: str) -> bool:
    if tag and tag not in prompt.tags:
        return False
    if not words:
        return True
    return _contains("\n".join((prompt.key, prompt.name, prompt.description, *prompt.tags, prompt.body)), words)


def _contains(text: str, words: Sequence[str]) -> bool:
    found = normalize(text)
    return all(word in found for word in words)
