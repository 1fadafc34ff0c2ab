"""JSON as a tree that folds, with numbers and repeated keys exactly as they were written."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from herding.ui.kit.format import el, join, plural

MAX_CHARS = 200_000
MAX_NODES = 5_000
"""A larger tree would be slow in the page; its text is shown instead."""

OPEN_LEVELS = 2
OPEN_NODES = 60
"""Trees of up to so many values are shown unfolded."""

_FENCED = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """The members of an object; a key may repeat."""


def parse_json(text: str) -> Any:
    """Return an object or array, also one in a fence of Markdown; None for any other text."""
    if len(text) > MAX_CHARS:
        return None
    if text.lstrip()[:3] == "```" and (fenced := _FENCED.fullmatch(text)):
        text = fenced[1]
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(
            text, object_pairs_hook=_Pairs, parse_int=_Number, parse_float=_Number, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None


def json_tree(value: Any) -> Markup | None:
    """Return a value of `parse_json` as a tree; None if it is too large for one."""
    count = _count(value)
    if count is None:
        return None
    return el("div", _node(None, value, 0, unfolded=count <= OPEN_NODES), cls="json-tree", role="group",
              aria_label="JSON", tabindex="0")  # fmt: skip


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _count(value: Any) -> int | None:
    """Return the number of values in a tree; None if there are more than `MAX_NODES` or they are nested too deep."""
    count, level, waiting = 0, 0, [value]
    while waiting:
        count, level = count + len(waiting), level + 1
        if count > MAX_NODES or level > 100:
            return None
        waiting = [child for parent in waiting if isinstance(parent, list) for child in _children(parent)]
    return count


def _children(parent: Sequence[Any]) -> Sequence[Any]:
    return [value for _, value in parent] if isinstance(parent, _Pairs) else parent


def _node(key: str | None, value: Any, level: int, *, unfolded: bool) -> Markup:
    """Return one value with its key; objects and arrays with children fold."""
    name = join([el("span", key, cls="json-key"), ": "]) if key is not None else None
    if not isinstance(value, list) or not value:
        return el("div", name, _leaf(value), cls="json-leaf")
    if isinstance(value, _Pairs):
        items, size = list(value), f"{{ {plural(len(value), 'key')} }}"
    else:
        items, size = [(str(place), item) for place, item in enumerate(value)], f"[ {plural(len(value), 'item')} ]"
    children = [_node(child, item, level + 1, unfolded=unfolded) for child, item in items]
    is_open = "" if unfolded or level < OPEN_LEVELS else None
    return el("details", el("summary", name, el("span", size, cls="muted")), *children, open=is_open, cls="json-node")


def _leaf(value: Any) -> Markup:
    match value:
        case _Number():
            return el("span", str(value), cls="json-number")
        case str():
            return el("span", f'"{value}"', cls="json-text")
        case None | bool():
            return el("span", json.dumps(value), cls="json-word")
    return el("span", "{ }" if isinstance(value, _Pairs) else "[ ]", cls="muted")
