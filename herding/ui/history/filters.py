"""The filters of the history, and the downloads that apply them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import gradio as gr
from markupsafe import Markup

from herding.ui.kit.format import STATUS, el
from herding.values import HistoryFilter

ANY = ""
MAX_TEXT = 1000


def filter_picker(label: str, any_label: str, elem_id: str) -> Any:
    """Return a filter that includes everything until a value is chosen."""
    return gr.Dropdown([(any_label, ANY)], value=ANY, label=label, interactive=True, min_width=150, elem_id=elem_id)


def filter_choices(name: str, found: tuple[str, ...], value: Any) -> Any:
    """Return an update of a filter's choices; the current value stays even if no request has it any more."""
    known = dict.fromkeys([*found, value] if value else found)
    return gr.update(choices=[(f"Any {name}", ANY), *((item, item) for item in known)], value=value or ANY)


def read_filter(*fields: Any) -> HistoryFilter:
    """Return the filter of the fields (prompt, model, node, stars, status, text); empty fields include everything."""
    prompt, model, node, stars, status, text = fields
    return HistoryFilter(
        prompt=prompt or None,
        model=model or None,
        node=node or None,
        stars=int(stars) if str(stars or "") in tuple("012345") else None,
        status=status if status in STATUS else None,
        text=str(text or "").strip()[:MAX_TEXT] or None,
    )


def download_links(where: HistoryFilter) -> Markup:
    """Return links that download all matching requests."""
    names = ("prompt", "model", "node", "stars", "status", "text")
    given = {name: value for name in names if (value := getattr(where, name)) is not None}
    query = f"?{urlencode(given)}" if given else ""
    links = [
        el("a", kind.upper(), href=f"api/v1/history.{kind}{query}", download=f"history.{kind}", cls="button")
        for kind in ("csv", "jsonl")
    ]
    return el("nav", "Download", *links, cls="export", aria_label="Download")
