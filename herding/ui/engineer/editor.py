"""The left half of the first tab: variables, template and parameters of the chosen prompt, and what is edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import EDIT, PUBLISH, SAVE
from herding.errors import HerdingError, NotFoundError, UserError, VariableError
from herding.orchestrator import Orchestrator
from herding.prompts.variables import find_errors_async
from herding.ui.engineer.draft_keeper import Keeper
from herding.ui.engineer.draft_pane import DraftPane
from herding.ui.engineer.session_state import SessionState, is_new, reference
from herding.ui.kit import prompt_text
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.format import el
from herding.ui.kit.parameters import ParameterFields, to_parameters
from herding.ui.kit.variable_form import VariableForm
from herding.values import Principal, PromptInfo, Request

DELETE = "Delete this prompt with its file? Its versions stay in the history, and saving it again brings it back."


class Editor:
    """Fields and the marks that tell of edits; `Editing` has their handlers.

    `owner` is a hidden field with what the fields show (`SessionState.owner`), so that what a browser sends late
    is never taken for edits of something else. `typed` is a hidden button that `page.js` presses when a person typed or
    pasted something: Gradio's own events miss half of that (`input`), or fire for our updates as well (`change`),
    while some fields still show the prompt before.
    """

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.keeper = Keeper(orchestrator)
        self.owner = gr.Textbox(visible=False, interactive=True, elem_id="form-owner")
        self.typed = gr.Button("", elem_id="form-typed")
        with gr.Row(elem_classes=["section-head"]):
            gr.HTML(el("h2", "Variables"))
            self.reset = gr.Button("Reset to defaults", size="sm", scale=0, elem_id="reset")
        with gr.Column(elem_id="variables", elem_classes=["fields"]):
            self.form = VariableForm()
        self.check = gr.HTML(elem_id="variant", elem_classes=["check"])
        with gr.Accordion("Template", open=False, elem_id="template-section") as self.section:
            self._build_template()
        with gr.Accordion("Parameters", open=False, elem_id="parameters-section"):
            self.parameters_mark = gr.HTML(elem_id="param-mark")
            self.parameters = ParameterFields()
            self.revert_parameters = gr.Button("Revert parameters", size="sm", visible=False, elem_id="param-revert")
        self.pane = DraftPane()

    def _build_template(self) -> None:
        self.as_whole = gr.Checkbox(
            label="Whole prompt (YAML)",
            info="variables, variants, checks, models and all else",
            interactive=True,
            visible=False,
            elem_id="template-whole",
        )
        self.template_mark = gr.HTML(elem_id="template-mark", elem_classes=["note"])
        self.template = gr.Code(
            language="yaml",
            lines=8,
            max_lines=28,
            wrap_lines=True,
            show_label=False,
            interactive=False,
            buttons=["copy"],
            elem_id="template",
        )
        self.fault = gr.HTML(elem_id="template-fault", elem_classes=["check", "note"])
        with gr.Row(elem_classes=["template-row"]):
            self.revert_template = gr.Button(
                "Revert template", size="sm", scale=0, min_width=120, visible=False, elem_id="template-revert"
            )
            words = {"right": PUBLISH, "name": "delete", "elem_id": "prompt-delete"}
            self.remove = ConfirmButton("Delete prompt", DELETE, "Delete it", **words)

    @property
    def fields(self) -> list[Any]:
        """What a person may edit, in one order everywhere."""
        return [self.owner, *self.form.components, self.template, *self.parameters.components]

    @property
    def marks(self) -> list[Any]:
        """What tells of the edits."""
        template = [self.template_mark, self.fault, self.revert_template]
        return [self.check, *template, self.parameters_mark, self.revert_parameters, *self.pane.outputs]

    @property
    def told(self) -> list[Any]:
        """What may change while one types."""
        return [*self.form.components, *self.parameters.components, *self.marks]

    @property
    def outputs(self) -> list[Any]:
        return [*self.fields, self.section, self.as_whole, *self.remove.outputs, *self.marks]

    async def show(self, desk: SessionState, principal: Principal) -> list[Any]:
        """Updates of `outputs` for the prompt on the desk, with the edits made on it."""
        prompt, shown, draft = desk.prompt, desk.shown, desk.draft
        if prompt is None or shown is None:
            return [gr.skip() for _ in self.outputs]
        whole: dict[str, Any] = {
            "value": draft.as_whole,
            "visible": SAVE in principal.rights,
            "interactive": not is_new(prompt),
        }
        return [
            desk.owner,
            *await self._form(desk, shown),
            gr.update(value=desk.text, interactive=EDIT in principal.rights),
            *self.parameters.show(shown.parameters, draft.parameters),
            gr.update(open=True) if is_new(prompt) else gr.skip(),
            gr.update(**whole),
            *self.remove.shows(PUBLISH in principal.rights and not is_new(prompt)),
            *await self.tell(desk, principal),
        ]

    async def _form(self, desk: SessionState, shown: PromptInfo) -> list[Any]:
        """The fields of the variables; those that stay out of permissions are left alone."""
        desk.faults = await find_errors_async(shown.variables, desk.draft.values)
        shape = self.form.shape(shown.variables)
        updates = self.form.show(shown.variables, desk.draft.values, before=desk.shape, wrong=desk.faults)
        desk.shape = shape
        return updates

    def keep(self, desk: SessionState, fields: Sequence[Any], *, strict: bool = False) -> bool:
        """Remember what is in the fields; tells whether they are those of the prompt on the desk.

        `strict`: UserError where they are not, or where a field cannot be read.
        """
        owner, size, shown = fields[0], len(self.form.components), desk.shown
        values, template, parameters = fields[1 : size + 1], fields[size + 1], fields[size + 2 :]
        if shown is None or owner != desk.owner:
            if strict and owner:
                raise UserError("This page is not up to date any more. Load it again, then run.", param="prompt")
            return False
        edits = self.parameters.read(shown.parameters, parameters)
        desk.keep(self.form.read(shown.variables, values, strict=strict), str(template or ""), edits)
        return True

    async def fitted(self, desk: SessionState, before: PromptInfo) -> list[Any]:
        """Updates of the fields where the YAML that is written asks for others, or something is wrong with them."""
        shown = desk.shown or before
        if (shown.variables, shown.parameters) != (before.variables, before.parameters):
            return [*await self._form(desk, shown), *self.parameters.show(shown.parameters, desk.draft.parameters)]
        told, desk.faults = desk.faults, await find_errors_async(shown.variables, desk.draft.values)
        return [*self.form.tell(shown.variables, desk.faults, told), *(gr.skip() for _ in self.parameters.components)]

    async def tell(self, desk: SessionState, principal: Principal) -> list[Any]:
        draft, may_edit = desk.draft, EDIT in principal.rights
        text, numbers = draft.template is not None or draft.whole is not None, bool(draft.parameters)
        what, new = "prompt" if draft.as_whole else "template", desk.prompt is not None and is_new(desk.prompt)
        told, wrong = await self._checked(desk, principal)
        return [
            told,
            prompt_text.new_prompt_note() if new else prompt_text.edit_note(what, text, may_edit=may_edit),
            prompt_text.error_note(wrong) if wrong else "",
            gr.update(visible=text and not new, value=f"Revert {what}"),
            prompt_text.edit_note("parameters", numbers),
            gr.update(visible=numbers),
            *self.pane.show(desk, await self.keeper.others(desk, principal), principal),
        ]

    async def _checked(self, desk: SessionState, principal: Principal) -> tuple[Markup, HerdingError | None]:
        """The variant that the inputs pick or what is wrong with them; and what is wrong with the edited text."""
        try:
            rendered = await self._orchestrator.pipeline.preview(replace(asked(desk), turns=()), principal)
        except VariableError as error:
            return Markup() if error.param in desk.faults else prompt_text.error_note(error), None
        except HerdingError as error:
            edited = desk.draft.template is not None or desk.draft.whole is not None
            return (Markup(), error) if edited else (prompt_text.error_note(error), None)
        return prompt_text.variant_note(rendered.variant), None


def asked(desk: SessionState, *, model: str | None = None) -> Request:
    """What the desk asks for; only what differs from the prompt goes with it.

    A variable that was just taken out of the text is not asked for, although its field was still there.
    """
    prompt, shown, draft = desk.prompt, desk.shown, desk.draft
    if prompt is None or shown is None:
        raise NotFoundError("There is no prompt to run. Put a prompt file into the prompts directory.", param="prompt")
    if is_new(prompt) and draft.whole is None:
        raise UserError("This prompt is empty. Write it as YAML first.", param="whole")
    return Request(
        prompt=reference(prompt),
        variables={name: held for name, held in draft.values.items() if name in shown.variables},
        model=model,
        parameters=to_parameters(draft.parameters),
        turns=tuple(draft.turns) if shown.chat else (),
        template=draft.template,
        whole=draft.whole,
        session_id=draft.chat if shown.chat else None,
    )
