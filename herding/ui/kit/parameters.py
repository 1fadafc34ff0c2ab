"""The fields of the sampling parameters; only what differs from the prompt's own goes with a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from herding.ui.kit.format import format_value
from herding.values import Parameters

NAMES = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")
_WHOLE = ("top_k", "max_tokens", "seed")
_HINTS = {
    "temperature": "0 is greedy, 2 is wild",
    "top_p": "share of the likeliest tokens, above 0 up to 1",
    "top_k": "number of the likeliest tokens",
    "max_tokens": "length of the answer at most",
    "seed": "the same seed, the same dice",
    "stop": "one text a line, \\n for a line break; the answer ends before it",
}


class ParameterFields:
    """One field for each parameter; empty means the prompt's own value."""

    def __init__(self) -> None:
        with gr.Row(elem_classes=["parameters"]):
            numbers = [_number(name) for name in NAMES[:-1]]
        stop = gr.Textbox(
            label="stop", info=_HINTS["stop"], lines=2, max_lines=6, interactive=True, elem_id="param-stop"
        )
        self.components: list[Any] = [*numbers, stop]

    def show(self, own: Parameters, edits: Mapping[str, Any]) -> list[Any]:
        """Updates of `components`: the prompt's own values with the edits over them."""
        shown = []
        for name in NAMES:
            at_home = _own(own, name)
            shown.append(gr.update(value=edits.get(name, at_home), placeholder=_placeholder(at_home)))
        return shown

    def read(self, own: Parameters, given: Sequence[Any]) -> dict[str, Any]:
        """What the fields hold where it differs from the prompt's own, by name."""
        fields = dict(zip(NAMES, given, strict=True))
        return {name: held for name, held in fields.items() if held not in (None, "", _own(own, name))}


def to_parameters(edits: Mapping[str, Any]) -> Parameters:
    """The edits as parameters of a request."""
    given = {name: int(held) if name in _WHOLE else held for name, held in edits.items() if name != "stop"}
    stop = tuple(line.replace("\\n", "\n") for line in str(edits.get("stop", "")).splitlines() if line)
    return Parameters(**given, stop=stop)


def _own(own: Parameters, name: str) -> Any:
    if name == "stop":
        return "\n".join(text.replace("\n", "\\n") for text in own.stop)
    return getattr(own, name)


def _placeholder(at_home: Any) -> str:
    return "the model's own" if at_home in (None, "") else f"{format_value(at_home)} (the prompt's)"


def _number(name: str) -> Any:
    return gr.Number(
        label=name,
        info=_HINTS[name],
        precision=0 if name in _WHOLE else None,
        step=1 if name in _WHOLE else 0.05,
        min_width=130,
        interactive=True,
        elem_id=f"param-{name.replace('_', '-')}",
    )
