"""The right half of the first tab: choose a model, run, stop, and say what the answer is worth."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import RATE, RUN
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.engineer.answer import FORGOTTEN, SAVED, AnswerPane, Progress
from herding.ui.engineer.editor import Editor, asked
from herding.ui.engineer.session_state import SessionState, reference
from herding.ui.kit import prompt_text
from herding.ui.kit.event_batches import batch_events
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, join
from herding.ui.kit.stars import parse_stars, update_stars
from herding.values import Message, Principal, PromptInfo, Request

AUTO = ""

Updates = dict[Any, Any]


class Runner:
    """Layout of the half, and its handlers. While a request runs, `picker` is locked."""

    def __init__(self, orchestrator: Orchestrator, *, desk: gr.State, editor: Editor, picker: gr.Dropdown) -> None:
        self._orchestrator, self._desk, self._editor, self._picker = orchestrator, desk, editor, picker
        with gr.Row(elem_classes=["run-row"]):
            self.model = gr.Dropdown(
                [("auto", AUTO)],
                value=AUTO,
                label="Model",
                interactive=True,
                scale=4,
                min_width=200,
                elem_id="model-picker",
            )
            self.run = gr.Button("Run", variant="primary", scale=2, min_width=90, elem_id="run")
            self.stop = gr.Button("Stop", variant="stop", interactive=False, scale=1, min_width=80, elem_id="stop")
        self.faults = gr.HTML(elem_id="run-faults", elem_classes=["check", "note"])
        self.note = gr.HTML(elem_id="model-note", visible=False)
        self.new_chat = gr.Button("New chat", size="sm", visible=False, elem_id="new-chat")
        self.pane = AnswerPane()
        self._wire()

    def _wire(self) -> None:
        desk, pane = self._desk, self.pane
        changed = [desk, self._picker, self.run, self.stop, self.new_chat, *pane.components]
        ran = on(self.run.click, self.start, [desk, self.model, *self._editor.fields], changed, name="run")
        on(self.stop.click, self.end, [desk], [self.stop], name="stop", queue=False)
        cleared = on(
            self.new_chat.click, self.clear_chat, [desk], [desk, *pane.components], name="new_chat", queue=False
        )
        rated = on(
            pane.stars.rate,
            self.rate,
            [desk, pane.stars],
            [desk, pane.stars, pane.note],
            name="rate",
            queue=False,
            trigger_mode="always_last",
        )
        self.changes = [ran, cleared, rated]
        on(pane.save.click, self.comment, [desk, pane.comment], [desk, pane.note], name="comment", queue=False)

    @property
    def outputs(self) -> list[Any]:
        """What follows the chosen prompt."""
        return [self.model, self.note, self.faults, self.run, self.new_chat, *self.pane.components]

    def show(self, desk: SessionState) -> list[Any]:
        """Updates of `outputs` for the prompt on the desk; a running answer is not disturbed."""
        idle, chat = desk.running is None, is_chat(desk)
        pane = self.pane.shows(desk.draft, chat=chat) if idle else [gr.skip() for _ in self.pane.components]
        run = gr.update(interactive=idle and desk.prompt is not None)
        return [*models(desk.shown), faulty(desk), run, gr.update(visible=chat, interactive=idle), *pane]

    async def models(self, desk: SessionState, chosen: str | None, principal: Principal) -> list[Any]:
        """The model picker and the note below it, for the models that are up by now."""
        return models(await self._now(desk, principal), chosen)

    async def _now(self, desk: SessionState, principal: Principal) -> PromptInfo | None:
        """The prompt on the desk, with who serves it now."""
        prompt, draft = desk.prompt, desk.draft
        if prompt is None:
            return None
        try:
            if draft.sketch and draft.sketched:
                return await self._orchestrator.prompts.sketch(prompt.key, draft.sketched, principal)
            return await self._orchestrator.prompts.get(reference(prompt), principal)
        except NotFoundError:
            return None

    @requires(RUN)
    async def start(
        self, desk: SessionState, model: str | None, request: gr.Request, *fields: Any
    ) -> AsyncGenerator[Updates, None]:
        """Run the prompt and stream the answer."""
        principal, progress = principal_of(request), Progress()
        desk.running = ""
        try:
            async with contextlib.aclosing(self._running(desk, model, principal, progress, fields)) as updates:
                async for update in updates:
                    yield update
        except HerdingError as error:
            yield await self._failed(desk, error, principal, progress)
        finally:
            desk.running = None

    async def _running(
        self, desk: SessionState, model: str | None, principal: Principal, progress: Progress, fields: Sequence[Any]
    ) -> AsyncGenerator[Updates, None]:
        draft = desk.draft
        draft.clear()
        yield {**self._busy(True), **self.pane.begins()}
        self._editor.keep(desk, fields, strict=True)
        request = asked(desk, model=model or None)
        question = await self._question(request, desk, principal)
        yield self.pane.says(draft.turns, question, "")
        async with contextlib.aclosing(batch_events(self._orchestrator.pipeline.stream(request, principal))) as batches:
            async for batch in batches:
                grew = progress.take(batch)
                if progress.outcome is None:
                    said = self.pane.says(draft.turns, question, progress.answer) if grew else {}
                    yield {self.pane.status: progress.status, **said, **self._stoppable(desk, progress)}
        yield self._done(desk, question, progress)

    def _stoppable(self, desk: SessionState, progress: Progress) -> Updates:
        """Stop works as soon as there is a request to stop."""
        if desk.running == progress.request_id:
            return {}
        desk.running = progress.request_id
        return {self.stop: gr.update(interactive=True)}

    def _done(self, desk: SessionState, question: str | None, progress: Progress) -> Updates:
        draft, outcome = desk.draft, progress.outcome
        if outcome is None:
            return self._busy(False)
        draft.answer, draft.outcome = outcome.answer, outcome
        said = self.pane.says(draft.turns, question, outcome.answer)
        if question is not None and outcome.answer:
            draft.turns += [Message("user", question), Message("assistant", outcome.answer)]
        return {**self._busy(False), **said, **self.pane.ends(outcome)}

    async def _failed(
        self, desk: SessionState, error: HerdingError, principal: Principal, progress: Progress
    ) -> Updates:
        """Updates for a run that ended with an error; where it left a row, with its figures."""
        draft = desk.draft
        draft.problem, draft.answer = error, progress.answer
        shown = {**self._busy(False), **self.pane.fails(error)}
        if error.request_id:
            with contextlib.suppress(HerdingError):  # the first error is the one to read
                draft.outcome = (await self._orchestrator.history.entry(error.request_id, principal)).outcome
                shown |= self.pane.ends(draft.outcome)
        return shown

    def _busy(self, busy: bool) -> Updates:
        """While a request runs no other prompt can be chosen; Stop wakes up when there is something to stop."""
        return {
            self._picker: gr.update(interactive=not busy),
            self.run: gr.update(value="NodeCall …" if busy else "Run", interactive=not busy),
            self.stop: gr.update(interactive=False),
            self.new_chat: gr.update(interactive=not busy),
        }

    async def _question(self, request: Request, desk: SessionState, principal: Principal) -> str | None:
        """What the user says in this turn of a chat; None where the prompt is no chat."""
        if not is_chat(desk):
            return None
        rendered = await self._orchestrator.pipeline.preview(request, principal)
        return rendered.messages[-1].content if rendered.messages else None

    @requires(RUN)
    async def end(self, desk: SessionState, request: gr.Request) -> Any:
        """Stop the running request; its stream then ends with what had arrived."""
        if desk.running:
            with contextlib.suppress(NotFoundError):  # it ended by itself in this moment
                await self._orchestrator.pipeline.cancel(desk.running, principal_of(request))
        return gr.update(interactive=False)

    @requires(RUN)
    async def clear_chat(self, desk: SessionState) -> list[Any]:
        """Begin a new chat."""
        if desk.running is not None:
            return [desk, *(gr.skip() for _ in self.pane.components)]
        desk.draft.new_chat()
        return [desk, *self.pane.shows(desk.draft, chat=is_chat(desk))]

    @requires(RATE)
    async def rate(self, desk: SessionState, stars: Any, request: gr.Request) -> list[Any]:
        """Save the stars of the answer that is shown."""
        draft = desk.draft
        if draft.outcome is None:
            return [desk, update_stars(None, enabled=False), FORGOTTEN]
        score = await self._orchestrator.feedback.rate(
            draft.outcome.request_id, parse_stars(stars), principal_of(request)
        )
        draft.stars = score.stars
        return [desk, gr.skip(), SAVED]

    @requires(RATE)
    async def comment(self, desk: SessionState, text: str | None, request: gr.Request) -> list[Any]:
        """Save the comment on the answer that is shown."""
        draft = desk.draft
        if draft.outcome is None:
            return [desk, FORGOTTEN]
        await self._orchestrator.feedback.comment(draft.outcome.request_id, str(text or ""), principal_of(request))
        draft.comment = str(text or "")
        return [desk, SAVED]


def models(prompt: PromptInfo | None, chosen: str | None = AUTO) -> list[Any]:
    """The model picker, and the note below it; the choice stays if it still can."""
    served = prompt.served if prompt else {}
    up = {model: f"{model} · {', '.join(nodes)}" for model, nodes in served.items() if nodes}
    choices = [("auto", AUTO), *((shown, model) for model, shown in up.items())]
    note = prompt_text.no_model(prompt) if prompt and prompt.target_models and not up else ""
    picker = gr.update(choices=choices, value=chosen if chosen in up else AUTO)
    return [picker, gr.update(value=note, visible=bool(note))]


def faulty(desk: SessionState) -> Markup:
    """The fields to mend before a run. The button stays live: the page may tell late of one that is mended."""
    if not desk.faults:
        return Markup()
    listed = join([part for name in desk.faults for part in (", ", el("code", name))][1:])
    says = "its field says" if len(desk.faults) == 1 else "their fields say"
    return el("p", "⚠ Mend ", listed, f" before you run: {says} what is wrong.", cls="wrong", role="status")


def is_chat(desk: SessionState) -> bool:
    """Whether the prompt on the desk is a chat over several turns."""
    return desk.shown is not None and desk.shown.chat
