"""Finding a prompt among many: search, folders, order, and as many as fit a page."""

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
"""Cards that are drawn at first, and that "Show more" adds."""

_DIGITS = re.compile(r"([0-9]+)")
MAX_FOLDERS = 30
MAX_SEARCH = 500
ANY_TAG = ""
TOP = "/"
"""The folder that holds all prompts; no key begins like this."""

NAME, USE, STARS, RECENT = "name", "use", "stars", "recent"
ORDERS: Mapping[str, tuple[str, Callable[[PromptInfo], tuple[Any, ...]]]] = {
    NAME: ("name", lambda _: ()),
    USE: ("most used", lambda prompt: (-prompt.stats.uses,)),
    STARS: ("best rated", lambda prompt: (-(prompt.stats.mean_stars or 0), -prompt.stats.rated)),
    RECENT: ("last used", lambda prompt: (-(prompt.stats.last_used_at or 0),)),
}
"""The label of each order, and what comes before the name in it."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What somebody looks for; what a browser sends in the place of a field counts as nothing if it cannot be."""

    search: str = ""
    tag: str = ANY_TAG
    order: str = NAME
    folder: str = TOP

    @classmethod
    def of(cls, search: object, tag: object, order: object, folder: object) -> SearchQuery:
        """The fields as a page sends them."""
        known = str(order) if order in ORDERS else NAME
        return cls(str(search or "")[:MAX_SEARCH], str(tag or ANY_TAG), known, str(folder or TOP))


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What fits: `prompts` those of the folder, in order; `everywhere` those of all folders."""

    prompts: Sequence[PromptInfo]
    everywhere: Sequence[PromptInfo]


def find(prompts: Iterable[PromptInfo], wish: SearchQuery) -> SearchResult:
    """The prompts in which all words of the search occur, and that have the tag."""
    words, before = normalize(wish.search).split(), ORDERS[wish.order][1]
    fitting = [prompt for prompt in prompts if _fits(prompt, words, wish.tag)]
    fitting.sort(key=lambda prompt: (*before(prompt), natural_key(prompt.name), prompt.key))
    return SearchResult([prompt for prompt in fitting if in_folder(prompt.key, wish.folder)], fitting)


def normalize(text: str) -> str:
    """`text` without case and accents."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(part for part in apart if not unicodedata.combining(part))


def natural_key(text: str) -> list[str | tuple[int, str]]:
    """The place of a text in a list as people write lists: 2 before 10."""
    parts = _DIGITS.split(normalize(text))
    return [(len(part.lstrip("0")), part.lstrip("0")) if place % 2 else part for place, part in enumerate(parts)]


def in_folder(key: str, folder: str) -> bool:
    """Whether a prompt is in a folder, or in one of its folders."""
    return folder == TOP or key.startswith(f"{folder}/")


def folders(keys: Iterable[str], at: str) -> dict[str, int]:
    """The folders right in the folder `at`, with how many prompts each holds, by name."""
    start = "" if at == TOP else f"{at}/"
    names = (key.removeprefix(start).rpartition("/")[0].partition("/")[0] for key in keys if key.startswith(start))
    counts = Counter(name for name in names if name)
    return {start + name: counts[name] for name in sorted(counts, key=natural_key)}


def folder_nav(found: SearchResult, at: str) -> Markup:
    """The way to the folder `at` and the folders in it; nothing where there are none at all."""
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
    more = el("span", f"and {plural(left, 'folder')} more: search for them", cls="muted") if left > 0 else None
    rest = el("div", *shown, more, cls="folder-row") if shown else None
    return el("nav", el("div", *crumbs, cls="folder-row way"), rest, cls="folders", aria_label="Folders")


def _folder(path: str, label: str, count: int, *, current: bool = False) -> Markup:
    number = el("span", f"{count:,}", cls="folder-count")
    spoken = el("span", f" ({plural(count, 'prompt')})", cls="sr")
    mark = "true" if current else None
    return el("button", label, number, spoken, type="button", cls="folder", data_pick=path, aria_current=mark)


def _fits(prompt: PromptInfo, words: Sequence[str], tag: str) -> bool:
    if tag and tag not in prompt.tags:
        return False
    if not words:
        return True
    text = normalize("\n".join((prompt.key, prompt.name, prompt.description, *prompt.tags, prompt.body)))
    return all(word in text for word in words)
