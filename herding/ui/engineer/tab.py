"""The tab "Prompt engineer": select or create a prompt, fill it in, run it, rate the response, save it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr

from herding.access.operations import PROMPTS, RUN
from herding.orchestrator import Orchestrator
from herding.ui.engineer.code_panel import CodePanel
from herding.ui.engineer.draft_pane import no_result
from herding.ui.engineer.editor import Editor
from herding.ui.engineer.new_prompt import NewPrompt
from herding.ui.engineer.prompt_saver import PromptSaver
from herding.ui.engineer.runner import Runner, field_errors_note
from herding.ui.engineer.session_state import SessionState, is_unsaved, new_prompt
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import join
from herding.ui.kit.tab import Tab
from herding.values import Principal, PromptInfo


class EngineerTab(Tab):
    """Layout of the tab, and the handlers of the prompt picker."""

    key = "engineer"
    label = "Prompt engineer"
    rights = frozenset({RUN, PROMPTS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.session = gr.State(SessionState())
        with gr.Row(elem_classes=["two-panes"]):
            with gr.Column(scale=5, min_width=340, elem_classes=["form-pane"]):
                self._build_picker()
                self.editor = Editor(orchestrator, self.session)
            with gr.Column(scale=6, min_width=340, elem_classes=["response-pane"]):
                self.runner = Runner(orchestrator, session=self.session, editor=self.editor, picker=self.picker)
                self.code_panel = CodePanel(self.session, self.runner.model)
        self._wire()

    def _build_picker(self) -> None:
        self.load_errors = gr.HTML(elem_id="broken-prompts", visible=False)
        with gr.Row(elem_classes=["picker-row"]):
            self.picker = gr.Dropdown(
                [],
                label="Prompt",
                info="Type to search",
                interactive=True,
                scale=4,
                min_width=200,
                elem_id="prompt-picker",
            )
            self.new = NewPrompt(self._orchestrator)
        self.new.build_form()
        self.about = gr.HTML(elem_id="prompt-about")

    def _wire(self) -> None:
        selected = on(self.picker.input, self.choose, self.inputs, self.outputs, name="choose", queue=False)
        created = self.new.wire(self.session, self.outputs, self.show)
        saver = PromptSaver(
            self._orchestrator, session=self.session, editor=self.editor, outputs=self.outputs, show=self.show
        )
        models = [self.runner.model, self.runner.note, self.runner.errors]
        for number, event in enumerate(self.editor.changes):
            inputs = [self.session, self.runner.model]
            on(event.then, self.update_models, inputs, models, name=f"update_models_{number}", queue=False)
        for event in (selected, created, *saver.changes, *self.editor.changes, *self.runner.changes):
            self.code_panel.update_after(event)

    @property
    def inputs(self) -> list[Any]:
        return [self.picker, self.session, *self.editor.fields]

    @property
    def outputs(self) -> list[Any]:
        """Everything that follows the selected prompt."""
        own = [self.session, self.load_errors, self.picker, self.new.button, self.about]
        return [*own, *self.editor.outputs, *self.runner.outputs, *self.editor.pane.save_form.results]

    @requires(RUN)
    async def choose(self, key: str | None, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Save the draft of the previous prompt, and show the selected one with its draft."""
        principal = principal_of(request)
        if self.editor.read_fields(session, fields):
            await self.editor.drafts.save(session, principal)
        if session.prompt is None:
            session.form_shape = None
        return await self.show(key, session, principal)

    @requires(RUN)
    async def update_models(self, session: SessionState, model: str | None, request: gr.Request) -> list[Any]:
        """Update the models of a prompt whose YAML is edited, and the fields to fix before a run."""
        if session.draft.parsed is None:
            return [gr.skip(), gr.skip(), field_errors_note(session)]
        return [*await self.runner.models(session, model, principal_of(request)), field_errors_note(session)]

    async def show(self, key: str | None, session: SessionState, principal: Principal) -> list[Any]:
        """Return the updates of `outputs` for the prompt `key` as saved now, or for the first prompt."""
        prompts = await self._orchestrator.prompts.list_all(principal)
        saved = {prompt.key: prompt for prompt in prompts}
        unsaved = [new for new in await self.editor.drafts.unsaved_keys(principal) if new not in saved]
        running = session.running_id is not None and session.prompt is not None
        if not running:
            await self._select(key, session, saved, unsaved, principal)
        opened = session.prompt.key if session.prompt else None
        exists = key in saved or key in unsaved
        note = prompt_text.not_opened(key, exists=exists, running=running) if key and key != opened else None
        load_errors = prompt_text.load_errors(await self._orchestrator.prompts.broken(principal))
        choices = [(f"{new} · Not saved", new) for new in unsaved]
        choices += [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
        new = session.prompt is not None and is_unsaved(session.prompt)
        return [
            session,
            gr.update(value=load_errors, visible=bool(load_errors)),
            gr.update(choices=choices, value=opened, interactive=session.running_id is None),
            self.new.show(principal),
            join([note, prompt_text.summary(session.edited_prompt, new=new)]),
            *await self.editor.show(session, principal),
            *self.runner.show(session),
            *no_result(),
        ]

    async def _select(
        self,
        key: str | None,
        session: SessionState,
        saved: Mapping[str, PromptInfo],
        unsaved: Sequence[str],
        principal: Principal,
    ) -> None:
        """Select the prompt `key`, or the first one, and load its draft."""
        drafts = self.editor.drafts
        first = next(iter(saved.values()), None)
        prompt = new_prompt(key) if key and key in unsaved else saved.get(key or "", first)
        session.prompt = await drafts.editable(prompt, principal) if prompt else None
        if session.prompt and is_unsaved(session.prompt) and session.draft.base_version:
            session.drafts.pop(session.prompt.key)  # its prompt was deleted: the draft is a new prompt now
        await drafts.load(session, principal)
        await drafts.save(session, principal)
