"""Content that follows choices of the reader, also if the responses to quick changes arrive out of order.

Each response says in a hidden field what it was made for. The field's change makes the page ask whether that is still
what the reader wants to see, and gets the right content if it is not.
"""

from __future__ import annotations

import json
from typing import Any

import gradio as gr


def shown_field(elem_id: str) -> Any:
    """Return the hidden field that names what is shown."""
    return gr.Textbox(visible="hidden", show_label=False, elem_id=elem_id)


def choice_key(*choices: Any) -> str:
    """Return the value of the field for content made for these choices."""
    return json.dumps(choices, default=str)
