"""The components of the Compare tab, and reading them into the session's state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.ui.compare.column import ColumnPane
from herding.ui.compare.diff import DiffPane
from herding.ui.compare.state import LETTERS, ColumnConfig, CompareState
from herding.ui.compare.summary import EMPTY
from herding.ui.kit.format import el
from herding.ui.kit.variable_form import VariableForm

STALE = "This page is out of date. Reload it and try again."


class CompareLayout:
    """The components; the hidden field `owner` holds the key of the form's prompt."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.state = gr.State(CompareState())
        self.owner = gr.Textbox(visible=False, interactive=True, elem_id="compare-owner")
        with gr.Column(elem_classes=["sheet"]):
            self.picker = gr.Dropdown(
                [], label="Prompt", info="Type to search", interactive=True, elem_id="compare-prompt"
            )
            self.about = gr.HTML(elem_id="compare-about")
            with gr.Column(elem_id="compare-variables", elem_classes=["fields"]):
                self.form = VariableForm("compare-var")
        with gr.Row(elem_classes=["compare-bar"]):
            self.run = gr.Button("Run all", variant="primary", scale=0, min_width=120, elem_id="compare-run")
            self.stop = gr.Button(
                "Stop all", variant="stop", interactive=False, scale=0, min_width=100, elem_id="compare-stop"
            )
            self.add = gr.Button("Add column", scale=0, min_width=130, elem_id="compare-add")
            self.note = gr.HTML(elem_id="compare-note")
        with gr.Row(elem_classes=["compare-columns"], elem_id="compare-columns"):
            self.columns = [ColumnPane(orchestrator, self.state, number) for number in range(len(LETTERS))]
        with gr.Column(elem_classes=["sheet"]):
            self.diff = DiffPane(orchestrator, self.state)
        with gr.Column(elem_classes=["sheet"]):
            gr.HTML(el("h2", "Session summary"))
            self.summary = gr.HTML(EMPTY, elem_id="compare-summary")

    @property
    def setup(self) -> list[Any]:
        """The components that configure the columns."""
        return [part for column in self.columns for part in column.setup]

    @property
    def inputs(self) -> list[Any]:
        """The state, the form and the fields of the columns, in the order of `read`."""
        fields = [field for column in self.columns for field in column.fields]
        return [self.state, self.owner, *self.form.components, *fields]

    @property
    def outputs(self) -> list[Any]:
        """All components that follow the chosen prompt."""
        head = [self.state, self.owner, self.picker, self.about, self.run, self.add, self.note]
        responses = [part for column in self.columns for part in column.response]
        return [*head, *self.form.components, *self.setup, *responses, *self.diff.outputs]

    def read(self, state: CompareState, owner: str | None, fields: Sequence[Any], *, strict: bool = False) -> None:
        """Read the page into the state; raise UserError if the page shows another prompt than the state."""
        if state.prompt is None or owner != state.prompt.key:
            raise UserError(STALE, param="prompt")
        size = len(self.form.components)
        state.values[state.key] = self.form.read(state.prompt.variables, fields[:size], strict=strict)
        for number, column in enumerate(state.columns):
            start = size + number * len(self.columns[number].fields)
            config = ColumnConfig.from_fields(fields[start : start + len(self.columns[number].fields)])
            # A version belongs to its prompt: with another prompt it is meaningless.
            same = config.prompt == column.config.prompt
            column.config = replace(config, extra=column.config.extra) if same else replace(config, version="")
