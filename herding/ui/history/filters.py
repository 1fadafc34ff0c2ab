"""The filters of the history, and the downloads that apply them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from herding.ui.kit.format import KINDS, STATUS, el
from herding.ui.kit.period import read_period
from herding.values import HistoryFilter

ANY = ""
MAX_TEXT = 1000
KIND = ":"
"""In front of a kind of request among the prompts; no key of a prompt begins with it."""

RATED, COMMENTED = "rated", "commented"
RATINGS = [
    ("Any rating", ANY),
    *((f"{'★' * n} {n}", str(n)) for n in (5, 4, 3, 2, 1)),
    ("Rated", RATED),
    ("Not rated", "0"),
    ("With a comment", COMMENTED),
]
_NAMES = {
    "principal": "user",
    "prompt": "prompt",
    "kind": "kind",
    "model": "model",
    "node": "node",
    "stars": "stars",
    "rated": "rated",
    "commented": "commented",
    "status": "status",
    "since": "from",
    "until": "to",
    "text": "text",
}
"""The fields of a filter that the page has, and the parameter of the API for each."""


def filter_picker(label: str, any_label: str, elem_id: str) -> Any:
    """Return a filter that includes everything until a value is chosen."""
    return gr.Dropdown([(any_label, ANY)], value=ANY, label=label, interactive=True, min_width=150, elem_id=elem_id)


def filter_choices(name: str, found: tuple[str, ...], value: Any) -> Any:
    """Return an update of a filter's choices; the current value stays even if no request has it any more."""
    known = dict.fromkeys([*found, value] if value else found)
    return gr.update(choices=[(f"Any {name}", ANY), *((label(item), item) for item in known)], value=value or ANY)


def label(item: str) -> str:
    """Return a value of a filter as it is shown."""
    return KINDS.get(item.removeprefix(KIND), item) if item.startswith(KIND) else item


def kind_choices(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Return the kinds of requests without a prompt, as values of the filter of prompts."""
    return tuple(f"{KIND}{kind}" for kind in KINDS if kind in kinds)


def read_filter(*fields: Any, now: int) -> HistoryFilter:
    """Return the filter of the fields; empty ones include everything.

    They are prompt, model, node, user, rating, status, the three of the period, and text.
    """
    prompt, model, node, user, rating, status, preset, begin, end, text = fields
    since, until = read_period(preset, begin, end, now)
    kind = str(prompt or "").removeprefix(KIND) if str(prompt or "").startswith(KIND) else None
    return HistoryFilter(
        principal=user or None,
        prompt=None if kind else prompt or None,
        kind=kind if kind in KINDS else None,  # type: ignore[arg-type]  # a key of KINDS is a kind
        model=model or None,
        node=node or None,
        stars=int(rating) if str(rating or "") in tuple("012345") else None,
        rated=True if rating == RATED else None,
        commented=True if rating == COMMENTED else None,
        status=status if status in STATUS else None,
        since=since,
        until=until,
        text=str(text or "").strip()[:MAX_TEXT] or None,
    )


def download_links(where: HistoryFilter) -> Markup:
    """Return links that download all matching requests."""
    found = {field: value for field in _NAMES if (value := getattr(where, field)) is not None}
    given = {_NAMES[field]: _written(field, value) for field, value in found.items()}
    query = f"?{urlencode(given)}" if given else ""
    links = [
        el("a", kind.upper(), href=f"api/v1/history.{kind}{query}", download=f"history.{kind}", cls="button")
        for kind in ("csv", "jsonl")
    ]
    return el("nav", "Download", *links, cls="export", aria_label="Download")


def _written(field: str, value: Any) -> str:
    if field in ("since", "until"):
        return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
    return str(value).lower() if isinstance(value, bool) else str(value)
