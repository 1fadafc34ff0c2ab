"""A list drawn by us whose items can be picked by mouse and keyboard."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.errors import UserError
from herding.ui.kit.theme import ASSETS

SCRIPT = (ASSETS / "picklist.js").read_text(encoding="utf-8")
MAX_ID = 200


def pick_list(elem_id: str) -> Any:
    """A component that shows escaped HTML; a button in it with `data-pick` or `data-open` fires `pick` or `open`."""
    return gr.HTML(js_on_load=SCRIPT, apply_default_css=False, elem_id=elem_id, elem_classes=["picklist"])


def picked_item(event: gr.EventData | None) -> str:
    """Which item was picked; UserError where the event does not say."""
    found = getattr(event, "_data", None)
    item = found.get("item") if isinstance(found, dict) else None
    if not isinstance(item, str) or not 0 < len(item) <= MAX_ID:
        raise UserError("Pick an item of the list.", param="item")
    return item
