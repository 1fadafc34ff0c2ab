"""The tab "Prompt engineer": choose a prompt or begin one, fill it in, run it, rate the answer, save it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import RUN
from herding.orchestrator import Orchestrator
from herding.ui.engineer.code_panel import CodePanel
from herding.ui.engineer.editing import Editing
from herding.ui.engineer.editor import Editor
from herding.ui.engineer.new_prompt import NewPrompt
from herding.ui.engineer.runner import Runner, faulty
from herding.ui.engineer.save_form import at_rest
from herding.ui.engineer.saving import Saving
from herding.ui.engineer.session_state import SessionState, blank, is_new
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import join
from herding.values import Principal, PromptInfo


class Engineer:
    """Layout of the tab, and the handlers of the prompt picker."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.desk = gr.State(SessionState())
        with gr.Row(elem_classes=["bench"]):
            with gr.Column(scale=5, min_width=340, elem_classes=["bench-form"]):
                self._build_picker()
                self.editor = Editor(orchestrator)
            with gr.Column(scale=6, min_width=340, elem_classes=["bench-answer"]):
                self.runner = Runner(orchestrator, desk=self.desk, editor=self.editor, picker=self.picker)
                self.elsewhere = CodePanel(self.desk, self.runner.model)
        self._wire()

    def _build_picker(self) -> None:
        self.broken = gr.HTML(elem_id="broken-prompts", visible=False)
        with gr.Row(elem_classes=["picker-row"]):
            self.picker = gr.Dropdown(
                [],
                label="Prompt",
                info="Click and type to search",
                interactive=True,
                scale=4,
                min_width=200,
                elem_id="prompt-picker",
            )
            self.new = NewPrompt(self._orchestrator)
        self.new.build_form()
        self.about = gr.HTML(elem_id="prompt-about")

    def _wire(self) -> None:
        chosen = on(self.picker.input, self.choose, self.inputs, self.outputs, name="choose", queue=False)
        editing = Editing(self.editor, self.desk)
        begun = self.new.wire(self.desk, self.outputs, self.show)
        ways: dict[str, Any] = {"desk": self.desk, "editor": self.editor, "outputs": self.outputs, "show": self.show}
        saving = Saving(self._orchestrator, **ways)
        refit = [self.runner.model, self.runner.note, self.runner.faults]
        for number, event in enumerate(editing.changes):
            on(event.then, self.refit, [self.desk, self.runner.model], refit, name=f"refit_{number}", queue=False)
        for event in (chosen, begun, *saving.changes, *editing.changes, *self.runner.changes):
            self.elsewhere.follow(event)

    @property
    def inputs(self) -> list[Any]:
        return [self.picker, self.desk, *self.editor.fields]

    @property
    def outputs(self) -> list[Any]:
        """Everything that follows the chosen prompt."""
        own = [self.desk, self.broken, self.picker, self.new.button, self.about]
        return [*own, *self.editor.outputs, *self.runner.outputs, *self.editor.pane.saving.results]

    @requires(RUN)
    async def choose(self, key: str | None, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Show a prompt with the edits that this session made on it; the edits of the one before are kept."""
        if self.editor.keep(desk, fields):
            await self.editor.keeper.keep(desk, principal_of(request))
        if desk.prompt is None:
            desk.shape = None
        return await self.show(key, desk, principal_of(request))

    @requires(RUN)
    async def refit(self, desk: SessionState, model: str | None, request: gr.Request) -> list[Any]:
        """The models of a prompt whose YAML is edited, and what keeps it from a run."""
        if desk.draft.sketch is None:
            return [gr.skip(), gr.skip(), faulty(desk)]
        return [*await self.runner.models(desk, model, principal_of(request)), faulty(desk)]

    async def show(self, key: str | None, desk: SessionState, principal: Principal) -> list[Any]:
        """Updates of `outputs` for the prompt `key` as its file is now, or for the first one."""
        keeper = self.editor.keeper
        prompts = await self._orchestrator.prompts.list_all(principal)
        known = {prompt.key: prompt for prompt in prompts}
        unsaved = [new for new in await keeper.unsaved(principal) if new not in known]
        running = desk.running is not None and desk.prompt is not None
        if not running:
            await self._put(key, desk, known, unsaved, principal)
        there = key in known or key in unsaved
        note = prompt_text.not_opened(key, known=there, running=running) if key and key != self._key(desk) else None
        broken = prompt_text.load_errors(await self._orchestrator.prompts.broken(principal))
        choices = [*((f"{new} · not saved yet", new) for new in unsaved)]
        choices += [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
        return [
            desk,
            gr.update(value=broken, visible=bool(broken)),
            gr.update(choices=choices, value=self._key(desk), interactive=desk.running is None),
            self.new.shows(principal),
            join([note, prompt_text.summary(desk.shown, new=bool(desk.prompt and is_new(desk.prompt)))]),
            *await self.editor.show(desk, principal),
            *self.runner.show(desk),
            *at_rest(),
        ]

    async def _put(
        self,
        key: str | None,
        desk: SessionState,
        known: dict[str, PromptInfo],
        unsaved: list[str],
        principal: Principal,
    ) -> None:
        """Lay the prompt `key` on the desk, or the first one, with the draft of it."""
        prompt = blank(key) if key in unsaved else known.get(key or "") or next(iter(known.values()), None)
        desk.prompt = await self.editor.keeper.opened(prompt, principal) if prompt else None
        if desk.prompt and is_new(desk.prompt) and desk.draft.base:  # it was deleted: the draft stands alone now
            desk.drafts.pop(desk.prompt.key)
        await self.editor.keeper.load(desk, principal)
        if desk.prompt:
            await self.editor.keeper.keep(desk, principal)

    def _key(self, desk: SessionState) -> str | None:
        return desk.prompt.key if desk.prompt else None
