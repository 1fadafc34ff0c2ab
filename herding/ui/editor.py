"""The left half of the first tab: variables, template and parameters of the chosen prompt, and what is edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from herding.access.operations import EDIT, RUN
from herding.errors import HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.ui import about
from herding.ui.desk import Desk
from herding.ui.form import Form
from herding.ui.format import Html, el
from herding.ui.guard import needs, on, who
from herding.ui.parameters import ParameterFields, overrides
from herding.values import Principal, Request


class Editor:
    """Fields, the marks that tell of edits, and their handlers.

    `owner` is an unseen field with the key of the prompt that the fields show, so that what a browser sends late is
    never taken for edits of another prompt. `typed` is an unseen button that `page.js` presses when a person typed or
    pasted something: Gradio's own events miss half of that (`input`), or fire for our updates as well (`change`),
    while some fields still show the prompt before.
    """

    def __init__(self, orchestrator: Orchestrator, desk: gr.State) -> None:
        self._orchestrator, self._desk = orchestrator, desk
        self.owner = gr.Textbox(visible=False, interactive=True, elem_id="form-owner")
        self.typed = gr.Button("", elem_id="form-typed")
        with gr.Row(elem_classes=["section-head"]):
            gr.HTML(el("h2", "Variables"))
            self.reset = gr.Button("Reset to defaults", size="sm", scale=0, elem_id="reset")
        with gr.Column(elem_id="variables", elem_classes=["fields"]):
            self.form = Form()
        self.check = gr.HTML(elem_id="variant", elem_classes=["check"])
        with gr.Accordion("Template", open=False, elem_id="template-section"):
            self._build_template()
        with gr.Accordion("Parameters", open=False, elem_id="parameters-section"):
            self.parameters_mark = gr.HTML(elem_id="param-mark")
            self.parameters = ParameterFields()
            self.revert_parameters = gr.Button("Revert parameters", size="sm", visible=False, elem_id="param-revert")
        self._wire()

    def _build_template(self) -> None:
        self.template_mark = gr.HTML(elem_id="template-mark")
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
        self.revert_template = gr.Button("Revert template", size="sm", visible=False, elem_id="template-revert")

    def _wire(self) -> None:
        given, shown = [self._desk, *self.fields], [self._desk, *self.outputs]
        changes = [self.typed.click, *self.form.choices]
        marked, now = [self._desk, *self.marks], {"queue": False}
        # What changes the draft, for whoever wants to follow it.
        self.changes = [
            on(changes, self.edited, given, marked, name="edited", trigger_mode="always_last", **now),
            on(self.reset.click, self.to_defaults, given, shown, name="to_defaults", **now),
            on(self.revert_template.click, self.revert_text, given, shown, name="revert_template", **now),
            on(self.revert_parameters.click, self.revert_numbers, given, shown, name="revert_parameters", **now),
        ]

    @property
    def fields(self) -> list[Any]:
        """What a person may edit, in one order everywhere."""
        return [self.owner, *self.form.components, self.template, *self.parameters.components]

    @property
    def marks(self) -> list[Any]:
        """What tells of the edits."""
        return [self.check, self.template_mark, self.revert_template, self.parameters_mark, self.revert_parameters]

    @property
    def outputs(self) -> list[Any]:
        return [*self.fields, *self.marks]

    async def show(self, desk: Desk, principal: Principal) -> list[Any]:
        """Updates of `outputs` for the prompt on the desk, with the edits made on it."""
        prompt, draft = desk.prompt, desk.draft
        if prompt is None:
            return [gr.skip() for _ in self.outputs]
        body = prompt.body if draft.template is None else draft.template
        return [
            prompt.key,
            *self._form(desk),
            gr.update(value=body, interactive=EDIT in principal.rights),
            *self.parameters.show(prompt.parameters, draft.parameters),
            *await self._marks(desk, principal),
        ]

    def _form(self, desk: Desk) -> list[Any]:
        """The fields of the variables; those that stay out of sight are left alone."""
        if desk.prompt is None:
            return []
        shape = self.form.shape(desk.prompt.variables)
        updates = self.form.show(desk.prompt.variables, desk.draft.values, before=desk.shape)
        desk.shape = shape
        return updates

    def keep(self, desk: Desk, fields: Sequence[Any], *, strict: bool = False) -> bool:
        """Remember what is in the fields; tells whether they are those of the prompt on the desk.

        `strict`: UserError where they are not, or where a field cannot be read.
        """
        owner, size = fields[0], len(self.form.components)
        values, template, parameters = fields[1 : size + 1], fields[size + 1], fields[size + 2 :]
        if desk.prompt is None or owner != desk.prompt.key:
            if strict and owner:
                raise UserError("This page is not up to date any more. Load it again, then run.", param="prompt")
            return False
        edits = self.parameters.read(desk.prompt.parameters, parameters)
        desk.keep(self.form.read(desk.prompt.variables, values, strict=strict), str(template or ""), edits)
        return True

    @needs(RUN)
    async def edited(self, desk: Desk, request: gr.Request, *fields: Any) -> list[Any]:
        """Tell which variant the form picks now, what is wrong with it, and what is not saved."""
        if not self.keep(desk, fields):
            return [desk, *(gr.skip() for _ in self.marks)]
        return [desk, *await self._marks(desk, who(request))]

    @needs(RUN)
    async def to_defaults(self, desk: Desk, request: gr.Request, *fields: Any) -> list[Any]:
        """Put the defaults back into the form."""
        self.keep(desk, fields)
        desk.draft.values = {}
        return [desk, *await self.show(desk, who(request))]

    @needs(EDIT)
    async def revert_text(self, desk: Desk, request: gr.Request, *fields: Any) -> list[Any]:
        """Back to the prompt's own template."""
        self.keep(desk, fields)
        desk.draft.template = None
        return [desk, *await self.show(desk, who(request))]

    @needs(RUN)
    async def revert_numbers(self, desk: Desk, request: gr.Request, *fields: Any) -> list[Any]:
        """Back to the prompt's own parameters."""
        self.keep(desk, fields)
        desk.draft.parameters = {}
        return [desk, *await self.show(desk, who(request))]

    async def _marks(self, desk: Desk, principal: Principal) -> list[Any]:
        draft, may_edit = desk.draft, EDIT in principal.rights
        return [
            await self._checked(desk, principal),
            about.edited("template", draft.template is not None, may_edit=may_edit),
            gr.update(visible=draft.template is not None),
            about.edited("parameters", bool(draft.parameters)),
            gr.update(visible=bool(draft.parameters)),
        ]

    async def _checked(self, desk: Desk, principal: Principal) -> Html:
        """The variant that the inputs pick, or what stands in the way of a run."""
        try:
            rendered = await self._orchestrator.preview(replace(asked(desk), turns=()), principal)
        except HerdingError as error:
            return about.wrong(error)
        return about.variant(rendered.variant)


def asked(desk: Desk, *, model: str | None = None) -> Request:
    """What the desk asks for; only what differs from the prompt goes with it."""
    prompt, draft = desk.prompt, desk.draft
    if prompt is None:
        raise NotFoundError("There is no prompt to run. Put a prompt file into the prompts directory.", param="prompt")
    return Request(
        prompt=prompt.key,
        variables=draft.values,
        model=model,
        parameters=overrides(draft.parameters),
        turns=tuple(draft.turns) if prompt.chat else (),
        template=draft.template,
        session_id=draft.chat if prompt.chat else None,
    )
