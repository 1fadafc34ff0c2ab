"""The tab "Prompt engineer": choose a prompt, fill it in, run it, rate the answer."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import RUN
from herding.orchestrator import Orchestrator
from herding.ui import about
from herding.ui.desk import Desk
from herding.ui.editor import Editor
from herding.ui.elsewhere import Elsewhere
from herding.ui.format import join
from herding.ui.guard import needs, on, who
from herding.ui.runner import Runner
from herding.values import Principal


class Engineer:
    """Layout of the tab, and the handlers of the prompt picker."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self.desk = gr.State(Desk())
        with gr.Row(elem_classes=["bench"]):
            with gr.Column(scale=5, min_width=340, elem_classes=["bench-form"]):
                self.broken = gr.HTML(elem_id="broken-prompts", visible=False)
                self.picker = gr.Dropdown(
                    [], label="Prompt", info="Click and type to search", interactive=True, elem_id="prompt-picker"
                )
                self.about = gr.HTML(elem_id="prompt-about")
                self.editor = Editor(orchestrator, self.desk)
            with gr.Column(scale=6, min_width=340, elem_classes=["bench-answer"]):
                self.runner = Runner(orchestrator, desk=self.desk, editor=self.editor, picker=self.picker)
                self.elsewhere = Elsewhere(self.desk, self.runner.model)
        chosen = on(self.picker.input, self.choose, self.inputs, self.outputs, name="choose", queue=False)
        for event in (chosen, *self.editor.changes, *self.runner.changes):
            self.elsewhere.follow(event)

    @property
    def inputs(self) -> list[Any]:
        return [self.picker, self.desk, *self.editor.fields]

    @property
    def outputs(self) -> list[Any]:
        """Everything that follows the chosen prompt."""
        return [self.desk, self.broken, self.picker, self.about, *self.editor.outputs, *self.runner.outputs]

    @needs(RUN)
    async def choose(self, key: str | None, desk: Desk, request: gr.Request, *fields: Any) -> list[Any]:
        """Show a prompt with the edits that this session made on it; the edits of the one before are kept."""
        self.editor.keep(desk, fields)
        if desk.prompt is None:
            desk.shape = None
        return await self.show(key, desk, who(request))

    async def show(self, key: str | None, desk: Desk, principal: Principal) -> list[Any]:
        """Updates of `outputs` for the prompt `key` as its file is now, or for the first one."""
        prompts = await self._orchestrator.prompts(principal)
        known = {prompt.key: prompt for prompt in prompts}
        running = desk.running is not None and desk.prompt is not None
        if not running:
            desk.prompt = known.get(key or "") or next(iter(prompts), None)
        note = about.instead(key, known=key in known, running=running) if key and key != self._key(desk) else None
        broken = about.broken(await self._orchestrator.broken_prompts(principal))
        choices = [(about.choice(prompt), prompt.key) for prompt in prompts]
        return [
            desk,
            gr.update(value=broken, visible=bool(broken)),
            gr.update(choices=choices, value=self._key(desk), interactive=desk.running is None),
            join([note, about.prompt(desk.prompt)]),
            *await self.editor.show(desk, principal),
            *self.runner.show(desk),
        ]

    def _key(self, desk: Desk) -> str | None:
        return desk.prompt.key if desk.prompt else None
