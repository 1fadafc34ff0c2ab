"""A list whose items are selected by mouse and keyboard."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.errors import UserError
from herding.ui.kit.theme import ASSETS

SCRIPT = (ASSETS / "picklist.js").read_text(encoding="utf-8")
MAX_ID = 200


def pick_list(elem_id: str) -> Any:
    """Return an HTML component; buttons in it with `data-pick` or `data-open` fire the events `pick` or `open`."""
    return gr.HTML(js_on_load=SCRIPT, apply_default_css=False, elem_id=elem_id, elem_classes=["picklist"])


def picked_item(event: gr.EventData | None) -> str:
    """Return the selected item; UserError if the event has none."""
    found = getattr(event, "_data", None)
    item = found.get("item") if isinstance(found, dict) else None
    if not isinstance(item, str) or not 0 < len(item) <= MAX_ID:
        raise UserError("Select an item from the list.", param="item")
    return item
