"""The filters of the history: their fields, what they say, and the downloads that keep to them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from herding.ui.kit.format import STATUS, el
from herding.values import HistoryFilter

ANY = ""
MAX_TEXT = 1000


def choice(label: str, any_label: str, elem_id: str) -> Any:
    """A filter that lets everything through until something is chosen."""
    return gr.Dropdown([(any_label, ANY)], value=ANY, label=label, interactive=True, min_width=150, elem_id=elem_id)


def choices_of(name: str, found: tuple[str, ...], held: Any) -> Any:
    """The choices of a filter; one that is held stays, even if nothing has it any more."""
    known = dict.fromkeys([*found, held] if held else found)
    return gr.update(choices=[(f"any {name}", ANY), *((item, item) for item in known)], value=held or ANY)


def wanted(*fields: Any) -> HistoryFilter:
    """The filter that the fields say (prompt, model, node, stars, status, text); an empty field means any."""
    prompt, model, node, stars, status, text = fields
    known = status if status in STATUS else None
    given = int(stars) if str(stars or "") in tuple("012345") else None
    found = str(text or "").strip()[:MAX_TEXT]
    return HistoryFilter(
        prompt=prompt or None, model=model or None, node=node or None, stars=given, status=known, text=found or None
    )


def links(where: HistoryFilter) -> Markup:
    """Downloads of all that fits the filters."""
    names = ("prompt", "model", "node", "stars", "status", "text")
    given = {name: value for name in names if (value := getattr(where, name)) is not None}
    query = f"?{urlencode(given)}" if given else ""
    return el(
        "nav", "Download", *(_link(kind, query) for kind in ("csv", "jsonl")), cls="export", aria_label="Download"
    )


def _link(kind: str, query: str) -> Markup:
    return el("a", kind.upper(), href=f"api/v1/history.{kind}{query}", download=f"history.{kind}", cls="button")
