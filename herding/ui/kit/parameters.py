"""The fields of the sampling parameters; a run sends only those that differ from the prompt's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from herding.ui.kit.format import format_value
from herding.values import Parameters

NAMES = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")
_INTEGERS = ("top_k", "max_tokens", "seed")
_HELP = {
    "temperature": "0 = most deterministic, 2 = most random",
    "top_p": "Nucleus sampling, 0-1",
    "top_k": "Sample from the top K tokens",
    "max_tokens": "Maximum output tokens",
    "seed": "Fixed seed for repeatable output",
    "stop": "Stop sequences, one per line; \\n for a line break",
}


class ParameterFields:
    """One field per parameter; an empty one means the prompt's own value."""

    def __init__(self) -> None:
        with gr.Row(elem_classes=["parameters"]):
            numbers = [_number(name) for name in NAMES[:-1]]
        stop = gr.Textbox(
            label="stop", info=_HELP["stop"], lines=2, max_lines=6, interactive=True, elem_id="param-stop"
        )
        self.components: list[Any] = [*numbers, stop]

    def show(self, own: Parameters, edits: Mapping[str, Any]) -> list[Any]:
        """Return the updates of `components`: the prompt's own values, replaced by the edits."""
        updates = []
        for name in NAMES:
            default = _own_value(own, name)
            updates.append(gr.update(value=edits.get(name, default), placeholder=_placeholder(default)))
        return updates

    def read(self, own: Parameters, values: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the fields that differ from the prompt's own, by name."""
        fields = dict(zip(NAMES, values, strict=True))
        return {name: value for name, value in fields.items() if value not in (None, "", _own_value(own, name))}


def to_parameters(edits: Mapping[str, Any]) -> Parameters:
    """Return edits of the fields as the parameters of a request."""
    numbers: dict[str, Any] = {
        name: int(value) if name in _INTEGERS else value for name, value in edits.items() if name != "stop"
    }
    stop = tuple(line.replace("\\n", "\n") for line in str(edits.get("stop", "")).splitlines() if line)
    return Parameters(**numbers, stop=stop)


def _own_value(own: Parameters, name: str) -> Any:
    if name == "stop":
        return "\n".join(text.replace("\n", "\\n") for text in own.stop)
    return getattr(own, name)


def _placeholder(default: Any) -> str:
    return "Model default" if default in (None, "") else f"{format_value(default)} (prompt default)"


def _number(name: str) -> Any:
    return gr.Number(
        label=name,
        info=_HELP[name],
        precision=0 if name in _INTEGERS else None,
        step=1 if name in _INTEGERS else 0.05,
        min_width=130,
        interactive=True,
        elem_id=f"param-{name.replace('_', '-')}",
    )
