"""The left side of the tab: the variables, template and parameters of the selected prompt, edited as a draft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import EDIT, PUBLISH, RUN, SAVE
from herding.errors import HerdingError, NotFoundError, UserError, VariableError
from herding.orchestrator import Orchestrator
from herding.prompts.variables import find_errors_async
from herding.ui.engineer.draft_pane import DraftPane
from herding.ui.engineer.drafts import SessionDrafts
from herding.ui.engineer.session_state import SessionState, is_unsaved, reference
from herding.ui.kit import prompt_text
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el
from herding.ui.kit.parameters import ParameterFields, to_parameters
from herding.ui.kit.variable_form import VariableForm
from herding.values import Principal, PromptInfo, Request

DELETE = "Delete this prompt and its file? Its versions are kept; save it again to restore it."


class Editor:
    """Layout of the fields and their marks, and the handlers that save every change as a draft.

    `form_key` is a hidden field with `SessionState.form_key`, so that a late update of a browser is never taken for
    an edit of something else. `typed` is a hidden button that `page.js` clicks when the user types or pastes:
    Gradio's own events miss half of that (`input`), or fire for updates of the server as well (`change`).
    """

    def __init__(self, orchestrator: Orchestrator, session: gr.State) -> None:
        self._orchestrator, self._session = orchestrator, session
        self.drafts = SessionDrafts(orchestrator)
        self.form_key = gr.Textbox(visible=False, interactive=True, elem_id="form-owner")
        self.typed = gr.Button("", elem_id="form-typed")
        with gr.Row(elem_classes=["section-head"]):
            gr.HTML(el("h2", "Variables"))
            self.reset = gr.Button("Reset to defaults", size="sm", scale=0, elem_id="reset")
        with gr.Column(elem_id="variables", elem_classes=["fields"]):
            self.form = VariableForm()
        self.variant = gr.HTML(elem_id="variant", elem_classes=["check"])
        with gr.Accordion("Template", open=False, elem_id="template-section") as self.section:
            self._build_template()
        with gr.Accordion("Parameters", open=False, elem_id="parameters-section"):
            self.parameters_mark = gr.HTML(elem_id="param-mark")
            self.parameters = ParameterFields()
            self.revert_parameters = gr.Button("Revert parameters", size="sm", visible=False, elem_id="param-revert")
        self.pane = DraftPane()
        self._wire()

    def _build_template(self) -> None:
        self.show_yaml = gr.Checkbox(
            label="Edit full YAML",
            info="Variables, variants, checks, models",
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
        self.template_error = gr.HTML(elem_id="template-fault", elem_classes=["check", "note"])
        with gr.Row(elem_classes=["template-row"]):
            self.revert_template = gr.Button(
                "Revert template", size="sm", scale=0, min_width=120, visible=False, elem_id="template-revert"
            )
            self.delete = ConfirmButton(
                "Delete prompt", DELETE, "Delete prompt", right=PUBLISH, name="delete", elem_id="prompt-delete"
            )

    def _wire(self) -> None:
        """Connect the handlers; `changes` are the events that change the draft."""
        pane, inputs, outputs = self.pane, [self._session, *self.fields], [self._session, *self.outputs]
        typed = [self.typed.click, *self.form.choice_events]
        typing = {"outputs": [self._session, *self.typing_outputs], "trigger_mode": "always_last"}
        self.changes = [
            on(typed, self.edit, inputs, name="edited", queue=False, **typing),
            on(self.reset.click, self.reset_values, inputs, outputs, name="to_defaults", queue=False),
            on(self.revert_template.click, self.revert_text, inputs, outputs, name="revert_template", queue=False),
            on(
                self.revert_parameters.click,
                self.revert_numbers,
                inputs,
                outputs,
                name="revert_parameters",
                queue=False,
            ),
            on(self.show_yaml.input, self.switch_view, [self.show_yaml, *inputs], outputs, name="whole", queue=False),
            on(pane.undo.click, self.undo, inputs, outputs, name="undo", queue=False),
            on(pane.redo.click, self.redo, [self._session], outputs, name="redo", queue=False),
        ]

    @property
    def fields(self) -> list[Any]:
        """The components that a user edits, in the order of `read_fields`."""
        return [self.form_key, *self.form.components, self.template, *self.parameters.components]

    @property
    def marks(self) -> list[Any]:
        """The components that show the state of the edits."""
        template = [self.template_mark, self.template_error, self.revert_template]
        return [self.variant, *template, self.parameters_mark, self.revert_parameters, *self.pane.outputs]

    @property
    def typing_outputs(self) -> list[Any]:
        """The components that may change while the user types."""
        return [*self.form.components, *self.parameters.components, *self.marks]

    @property
    def outputs(self) -> list[Any]:
        return [*self.fields, self.section, self.show_yaml, *self.delete.outputs, *self.marks]

    async def show(self, session: SessionState, principal: Principal) -> list[Any]:
        """Return the updates of `outputs` for the selected prompt and its draft."""
        saved, prompt, draft = session.prompt, session.edited_prompt, session.draft
        if saved is None or prompt is None:
            return [gr.skip() for _ in self.outputs]
        new = is_unsaved(saved)
        return [
            session.form_key,
            *await self._show_form(session, prompt),
            gr.update(value=session.editor_text, interactive=EDIT in principal.rights),
            *self.parameters.show(prompt.parameters, draft.parameters),
            gr.update(open=True) if new else gr.skip(),
            gr.update(value=draft.shows_yaml, visible=SAVE in principal.rights, interactive=not new),
            *self.delete.show(PUBLISH in principal.rights and not new),
            *await self._show_marks(session, principal),
        ]

    async def _show_form(self, session: SessionState, prompt: PromptInfo) -> list[Any]:
        """Return the updates of the form; fields that stay hidden are skipped."""
        session.field_errors = await find_errors_async(prompt.variables, session.draft.values)
        before, session.form_shape = session.form_shape, self.form.shape(prompt.variables)
        return self.form.show(prompt.variables, session.draft.values, before=before, errors=session.field_errors)

    def read_fields(self, session: SessionState, fields: Sequence[Any], *, strict: bool = False) -> bool:
        """Store the values of `fields` in the draft; return False if they belong to another prompt or view.

        strict: raise UserError instead, or if a field cannot be read.
        """
        form_key, size, prompt = fields[0], len(self.form.components), session.edited_prompt
        values, template, parameters = fields[1 : size + 1], fields[size + 1], fields[size + 2 :]
        if prompt is None or form_key != session.form_key:
            if strict and form_key:
                raise UserError("This page is out of date. Reload it, then run again.", param="prompt")
            return False
        session.set_fields(
            self.form.read(prompt.variables, values, strict=strict),
            str(template or ""),
            self.parameters.read(prompt.parameters, parameters),
        )
        return True

    @requires(RUN)
    async def edit(self, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Save what the user typed, and update the variant, the errors and the marks."""
        principal = principal_of(request)
        await self.drafts.restore(session, str(fields[0] or ""), principal)
        before = session.edited_prompt
        if before is None or not self.read_fields(session, fields):
            return [session, *(gr.skip() for _ in self.typing_outputs)]
        if session.edits() != session.draft.saved_edits:
            session.draft.redo_stack, session.draft.undo_step = [], None
        await self.drafts.save(session, principal)
        fields_updates = await self._update_fields(session, before)
        return [session, *fields_updates, *await self._show_marks(session, principal)]

    async def _update_fields(self, session: SessionState, before: PromptInfo) -> list[Any]:
        """Return the updates of the fields, if the edited YAML changed them or their errors changed."""
        prompt = session.edited_prompt or before
        if (prompt.variables, prompt.parameters) != (before.variables, before.parameters):
            parameters = self.parameters.show(prompt.parameters, session.draft.parameters)
            return [*await self._show_form(session, prompt), *parameters]
        old, session.field_errors = (
            session.field_errors,
            await find_errors_async(prompt.variables, session.draft.values),
        )
        errors = self.form.show_errors(prompt.variables, session.field_errors, old)
        return [*errors, *(gr.skip() for _ in self.parameters.components)]

    @requires(RUN)
    async def reset_values(self, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Reset the variables to their defaults."""
        self.read_fields(session, fields)
        session.draft.values = {}
        return await self._save_and_show(session, principal_of(request))

    @requires(EDIT)
    async def revert_text(self, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Revert the template to the saved one."""
        self.read_fields(session, fields)
        session.draft.template = session.draft.whole = None
        return await self._save_and_show(session, principal_of(request))

    @requires(RUN)
    async def revert_numbers(self, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Revert the parameters to the saved ones."""
        self.read_fields(session, fields)
        session.draft.parameters = {}
        return await self._save_and_show(session, principal_of(request))

    @requires(SAVE)
    async def switch_view(self, whole: bool, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Switch between the full YAML and the template; the edits are kept."""
        error = None
        if self.read_fields(session, fields) and session.prompt is not None and not is_unsaved(session.prompt):
            try:
                session.switch_view(whole=bool(whole))
            except UserError as refused:
                error = refused
        updates = await self._save_and_show(session, principal_of(request))
        if error:
            updates[1 + self.outputs.index(self.template_error)] = prompt_text.error_note(error)
        return updates

    async def _save_and_show(self, session: SessionState, principal: Principal) -> list[Any]:
        """Save the draft and update all fields, after a change that was not typed."""
        session.draft.revision += 1
        await self.drafts.save(session, principal, typed=False)
        return [session, *await self.show(session, principal)]

    @requires(RUN)
    async def undo(self, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Undo the last step of the draft."""
        principal = principal_of(request)
        self.read_fields(session, fields)
        await self.drafts.save(session, principal)
        await self.drafts.undo(session, principal)
        return [session, *await self.show(session, principal)]

    @requires(RUN)
    async def redo(self, session: SessionState, request: gr.Request) -> list[Any]:
        """Repeat the last undone step."""
        principal = principal_of(request)
        await self.drafts.redo(session, principal)
        return [session, *await self.show(session, principal)]

    async def _show_marks(self, session: SessionState, principal: Principal) -> list[Any]:
        """Return the updates of `marks`."""
        draft, can_edit = session.draft, EDIT in principal.rights
        edited, new = _has_edited_text(session), session.prompt is not None and is_unsaved(session.prompt)
        variant, notes, error = await self._check(session, principal)
        return [
            variant,
            prompt_text.new_prompt_note() if new else prompt_text.edit_note(edited, can_edit=can_edit),
            prompt_text.error_note(error) if error else prompt_text.notes_panel(notes) or "",
            gr.update(visible=edited and not new, value="Revert YAML" if draft.shows_yaml else "Revert template"),
            prompt_text.edit_note(bool(draft.parameters)),
            gr.update(visible=bool(draft.parameters)),
            *self.pane.show(session, await self.drafts.other_editors(session, principal), principal),
        ]

    async def _check(
        self, session: SessionState, principal: Principal
    ) -> tuple[Markup, Sequence[str], HerdingError | None]:
        """Render the draft; return the variant or the error of the values, notes, and the error of the edited text."""
        try:
            rendered = await self._orchestrator.pipeline.preview(replace(run_request(session), turns=()), principal)
        except VariableError as error:
            return Markup() if error.param in session.field_errors else prompt_text.error_note(error), (), None
        except HerdingError as error:
            if _has_edited_text(session):
                return Markup(), (), error
            return prompt_text.error_note(error), (), None
        return prompt_text.variant_note(rendered.variant), rendered.notes, None


def _has_edited_text(session: SessionState) -> bool:
    return session.draft.template is not None or session.draft.whole is not None


def run_request(session: SessionState, *, model: str | None = None) -> Request:
    """Return the request that runs the draft; only what differs from the saved prompt goes with it.

    Variables that were just removed from the YAML are left out, although their fields were still on the page.
    """
    saved, prompt, draft = session.prompt, session.edited_prompt, session.draft
    if saved is None or prompt is None:
        raise NotFoundError("No prompt is selected. Add a prompt file to the prompts folder.", param="prompt")
    if is_unsaved(saved) and draft.whole is None:
        raise UserError("This prompt is empty. Enter its YAML first.", param="whole")
    return Request(
        prompt=reference(saved),
        variables={name: value for name, value in draft.values.items() if name in prompt.variables},
        model=model,
        parameters=to_parameters(draft.parameters),
        turns=tuple(draft.turns) if prompt.chat else (),
        template=draft.template,
        whole=draft.whole,
        session_id=draft.chat_id if prompt.chat else None,
    )
