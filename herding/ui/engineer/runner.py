"""The right side of the tab: selects a model, runs the prompt, stops it, and rates the response."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import HISTORY, RATE, RUN
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.engineer.editor import Editor, run_request
from herding.ui.engineer.response_pane import ResponsePane
from herding.ui.engineer.session_state import SessionState, reference
from herding.ui.kit import prompt_text
from herding.ui.kit.event_batches import batch_events
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, join, rating_list
from herding.ui.kit.response import RunProgress
from herding.ui.kit.stars import NOT_ON_PAGE, RATING_SAVED, parse_stars, update_stars
from herding.values import Message, Principal, PromptInfo, Request

AUTO = ""

Updates = dict[Any, Any]


class Runner:
    """Layout and handlers; while a request runs, `picker` is disabled."""

    def __init__(self, orchestrator: Orchestrator, *, session: gr.State, editor: Editor, picker: gr.Dropdown) -> None:
        self._orchestrator, self._session, self._editor, self._picker = orchestrator, session, editor, picker
        with gr.Row(elem_classes=["run-row"]):
            self.model = gr.Dropdown(
                [("Auto", AUTO)],
                value=AUTO,
                label="Model",
                interactive=True,
                scale=4,
                min_width=200,
                elem_id="model-picker",
            )
            self.run = gr.Button("Run", variant="primary", scale=2, min_width=90, elem_id="run")
            self.stop = gr.Button("Stop", variant="stop", interactive=False, scale=1, min_width=80, elem_id="stop")
        self.errors = gr.HTML(elem_id="run-faults", elem_classes=["check", "note"])
        self.note = gr.HTML(elem_id="model-note", visible=False)
        self.new_chat = gr.Button("New chat", size="sm", visible=False, elem_id="new-chat")
        self.pane = ResponsePane()
        self._wire()

    def _wire(self) -> None:
        """Connect the handlers; `changes` are the events that change the response."""
        session, pane = self._session, self.pane
        updated = [session, self._picker, self.run, self.stop, self.new_chat, *pane.components]
        ran = on(self.run.click, self.start, [session, self.model, *self._editor.fields], updated, name="run")
        on(self.stop.click, self.end, [session], [self.stop], name="stop", queue=False)
        outputs = [session, *pane.components]
        cleared = on(self.new_chat.click, self.clear_chat, [session], outputs, name="new_chat", queue=False)
        rated = on(
            pane.stars.rate,
            self.rate,
            [session, pane.stars],
            [session, pane.stars, pane.note, pane.ratings],
            name="rate",
            queue=False,
            trigger_mode="always_last",
        )
        self.changes = [ran, cleared, rated]
        commented = [session, pane.note, pane.ratings]
        on(pane.save.click, self.comment, [session, pane.comment], commented, name="comment", queue=False)

    @property
    def outputs(self) -> list[Any]:
        """The components that follow the selected prompt."""
        return [self.model, self.note, self.errors, self.run, self.new_chat, *self.pane.components]

    def show(self, session: SessionState) -> list[Any]:
        """Return the updates of `outputs` for the selected prompt; a running response is left alone."""
        idle, chat = session.running_id is None, is_chat(session)
        return [
            *model_picker(session.edited_prompt),
            field_errors_note(session),
            gr.update(interactive=idle and session.prompt is not None),
            gr.update(visible=chat, interactive=idle),
            *(self.pane.show(session.draft, chat=chat) if idle else [gr.skip() for _ in self.pane.components]),
        ]

    async def models(self, session: SessionState, chosen: str | None, principal: Principal) -> list[Any]:
        """Return the updates of the model picker and its note for the models available now."""
        return model_picker(await self._current_prompt(session, principal), chosen)

    async def _current_prompt(self, session: SessionState, principal: Principal) -> PromptInfo | None:
        """Return the selected prompt with its available models as of now."""
        prompt, draft = session.prompt, session.draft
        if prompt is None:
            return None
        try:
            if draft.parsed and draft.parsed_text:
                return await self._orchestrator.prompts.sketch(prompt.key, draft.parsed_text, principal)
            return await self._orchestrator.prompts.get(reference(prompt), principal)
        except NotFoundError:
            return None

    @requires(RUN)
    async def start(
        self, session: SessionState, model: str | None, request: gr.Request, *fields: Any
    ) -> AsyncGenerator[Updates, None]:
        """Run the prompt and stream the response."""
        principal, progress = principal_of(request), RunProgress()
        session.running_id = ""
        try:
            async with contextlib.aclosing(self._stream(session, model, principal, progress, fields)) as updates:
                async for update in updates:
                    yield update
        except HerdingError as error:
            yield await self._failed(session, error, principal, progress)
        finally:
            session.running_id = None

    async def _stream(
        self,
        session: SessionState,
        model: str | None,
        principal: Principal,
        progress: RunProgress,
        fields: Sequence[Any],
    ) -> AsyncGenerator[Updates, None]:
        draft = session.draft
        draft.clear_response()
        yield {**self._set_busy(True), **self.pane.show_start()}
        self._editor.read_fields(session, fields, strict=True)
        request = run_request(session, model=model or None)
        question = await self._question(request, session, principal)
        yield self.pane.show_text(draft.turns, question, "")
        async with contextlib.aclosing(batch_events(self._orchestrator.pipeline.stream(request, principal))) as batches:
            async for batch in batches:
                grew = progress.update(batch)
                if progress.outcome is None:
                    text = self._show_progress(draft.turns, question, progress) if grew else {}
                    yield {self.pane.status: progress.status, **text, **self._enable_stop(session, progress)}
        yield self._done(session, question, progress)

    def _show_progress(self, turns: Sequence[Message], question: str | None, progress: RunProgress) -> Updates:
        return self.pane.show_text(turns, question, progress.text, reasoning=progress.reasoning)

    def _enable_stop(self, session: SessionState, progress: RunProgress) -> Updates:
        """Enable Stop once the request has an id."""
        if session.running_id == progress.request_id:
            return {}
        session.running_id = progress.request_id
        return {self.stop: gr.update(interactive=True)}

    def _done(self, session: SessionState, question: str | None, progress: RunProgress) -> Updates:
        draft, outcome = session.draft, progress.outcome
        if outcome is None:
            return self._set_busy(False)
        draft.response, draft.outcome = outcome.answer, outcome
        text = self.pane.show_text(draft.turns, question, outcome.answer)
        if question is not None and outcome.answer:
            draft.turns += [Message("user", question), Message("assistant", outcome.answer)]
        return {**self._set_busy(False), **text, **self.pane.show_outcome(outcome)}

    async def _failed(
        self, session: SessionState, error: HerdingError, principal: Principal, progress: RunProgress
    ) -> Updates:
        """Return the updates for a run that raised; if it was recorded, with its metrics."""
        draft = session.draft
        draft.error, draft.response = error, progress.text
        updates = {**self._set_busy(False), **self.pane.show_error(error)}
        if error.request_id:
            with contextlib.suppress(HerdingError):  # the first error is the one to show
                draft.outcome = (await self._orchestrator.history.entry(error.request_id, principal)).outcome
                updates |= self.pane.show_outcome(draft.outcome)
        return updates

    def _set_busy(self, busy: bool) -> Updates:
        """Disable the prompt picker while a request runs; Stop is enabled once the request has an id."""
        return {
            self._picker: gr.update(interactive=not busy),
            self.run: gr.update(value="Running…" if busy else "Run", interactive=not busy),
            self.stop: gr.update(interactive=False),
            self.new_chat: gr.update(interactive=not busy),
        }

    async def _question(self, request: Request, session: SessionState, principal: Principal) -> str | None:
        """Return the user's message of this turn, or None if the prompt is not a chat."""
        if not is_chat(session):
            return None
        rendered = await self._orchestrator.pipeline.preview(request, principal)
        return rendered.messages[-1].content if rendered.messages else None

    @requires(RUN)
    async def end(self, session: SessionState, request: gr.Request) -> Any:
        """Stop the running request; the text received so far stays."""
        if session.running_id:
            with contextlib.suppress(NotFoundError):  # it has just finished
                await self._orchestrator.pipeline.cancel(session.running_id, principal_of(request))
        return gr.update(interactive=False)

    @requires(RUN)
    async def clear_chat(self, session: SessionState) -> list[Any]:
        """Start a new chat."""
        if session.running_id is not None:
            return [session, *(gr.skip() for _ in self.pane.components)]
        session.draft.new_chat()
        return [session, *self.pane.show(session.draft, chat=is_chat(session))]

    @requires(RATE)
    async def rate(self, session: SessionState, stars: Any, request: gr.Request) -> list[Any]:
        """Save the rating of the response."""
        draft = session.draft
        if draft.outcome is None:
            return [session, update_stars(None, enabled=False), NOT_ON_PAGE, gr.skip()]
        score = await self._orchestrator.feedback.rate(
            draft.outcome.request_id, parse_stars(stars), principal_of(request)
        )
        draft.stars = score.stars
        return [session, gr.skip(), RATING_SAVED, await self._ratings(session, principal_of(request))]

    @requires(RATE)
    async def comment(self, session: SessionState, text: str | None, request: gr.Request) -> list[Any]:
        """Save the comment on the response."""
        draft = session.draft
        if draft.outcome is None:
            return [session, NOT_ON_PAGE, gr.skip()]
        await self._orchestrator.feedback.comment(draft.outcome.request_id, str(text or ""), principal_of(request))
        draft.comment = str(text or "")
        return [session, RATING_SAVED, await self._ratings(session, principal_of(request))]

    async def _ratings(self, session: SessionState, principal: Principal) -> Markup:
        """Return the ratings and comments of all users on the response, for roles that may read the history."""
        outcome = session.draft.outcome
        if outcome is None or HISTORY not in principal.rights:
            return Markup()
        entry = await self._orchestrator.history.entry(outcome.request_id, principal)
        found = rating_list(entry, principal.id)
        session.draft.ratings = join([el("h3", "Ratings and comments"), found]) if found else Markup()
        return session.draft.ratings


def model_picker(prompt: PromptInfo | None, chosen: str | None = AUTO) -> list[Any]:
    """Return the updates of the model picker and its note; `chosen` stays selected while it is available."""
    served = prompt.served if prompt else {}
    available = {model: f"{model} · {', '.join(nodes)}" for model, nodes in served.items() if nodes}
    choices = [("Auto", AUTO), *((label, model) for model, label in available.items())]
    note = prompt_text.no_model(prompt) if prompt and prompt.target_models and not available else ""
    picker = gr.update(choices=choices, value=chosen if chosen in available else AUTO)
    return [picker, gr.update(value=note, visible=bool(note))]


def field_errors_note(session: SessionState) -> Markup:
    """Return the fields to fix before a run. Run stays enabled, as the page may report a fix late."""
    if not session.field_errors:
        return Markup()
    names = " and ".join(f'"{name}"' for name in session.field_errors)
    return el("p", f"⚠ Fix {names} before running.", cls="wrong", role="status")


def is_chat(session: SessionState) -> bool:
    """Return True if the selected prompt is a chat."""
    return session.edited_prompt is not None and session.edited_prompt.chat
