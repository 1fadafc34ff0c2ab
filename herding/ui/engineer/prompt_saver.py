"""The handlers that save, discard and delete a prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr

from herding.access.operations import PUBLISH, RUN, SAVE
from herding.errors import HerdingError, UserError, VersionConflictError
from herding.orchestrator import Orchestrator
from herding.studio.drafts import DisplayedEdits
from herding.ui.engineer.draft_pane import conflict_result, error_result, no_result, saved_result
from herding.ui.engineer.editor import Editor
from herding.ui.engineer.session_state import SessionState, is_unsaved
from herding.ui.kit.events import on, principal_of, requires
from herding.values import Principal

BUSY = "A request is still running. Wait for it or stop it first."

Show = Callable[[str | None, SessionState, Principal], Awaitable[list[Any]]]


class PromptSaver:
    """Connects the save form and the buttons that discard or delete.

    `show` returns the updates of `outputs` for a prompt; the last of them are those of `SaveForm.results`.
    `changes` are the events that change the prompt.
    """

    def __init__(
        self, orchestrator: Orchestrator, *, session: gr.State, editor: Editor, outputs: Sequence[Any], show: Show
    ) -> None:
        self._orchestrator, self._editor, self._show = orchestrator, editor, show
        form = editor.pane.save_form
        self._prompt_outputs = len(outputs) - len(form.results)
        inputs = [session, form.message, form.inputs, *editor.fields]
        discard, delete = editor.pane.discard.yes, editor.delete.yes
        self.changes = [
            on(form.save.click, self.save, inputs, outputs, name="save_version", queue=False),
            on(form.mine.click, self.save_mine, inputs, outputs, name="save_mine", queue=False),
            on(
                form.theirs.click, self.take_theirs, [session, *editor.fields], outputs, name="take_theirs", queue=False
            ),
            on(discard.click, self.discard, [session], outputs, name="discard_draft", queue=False),
            on(delete.click, self.delete, [session], outputs, name="delete_prompt", queue=False),
        ]

    @requires(SAVE)
    async def save(
        self, session: SessionState, message: str | None, inputs: bool, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Save the draft as a version."""
        return await self._save(session, message, inputs, fields, principal_of(request))

    @requires(SAVE)
    async def save_mine(
        self, session: SessionState, message: str | None, inputs: bool, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Save the draft on top of the conflicting version, as it was shown."""
        principal = principal_of(request)
        return await self._save(session, message, inputs, fields, principal, over=session.draft.conflict)

    @requires(SAVE)
    async def take_theirs(self, session: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Replace the draft by the conflicting version; Redo brings it back."""
        principal, key = principal_of(request), session.prompt.key if session.prompt else ""
        _require_idle(session)
        self._editor.read_fields(session, fields)
        newest = await self._orchestrator.prompts.get(f"{key}@newest", principal)
        await self._editor.drafts.take_theirs(session, newest, principal)
        return await self._show(key, session, principal)

    @requires(RUN)
    async def discard(self, session: SessionState, request: gr.Request) -> list[Any]:
        """Discard the draft, and with it a prompt that was never saved."""
        principal = principal_of(request)
        _require_idle(session)
        key = session.prompt.key if session.prompt else None
        await self._editor.drafts.discard(session, principal)
        if key and session.prompt and is_unsaved(session.prompt):
            session.drafts.pop(key)
            session.prompt, key = None, None
        return await self._show(key, session, principal)

    @requires(PUBLISH)
    async def delete(self, session: SessionState, request: gr.Request) -> list[Any]:
        """Delete the prompt, unless another version of it was saved meanwhile."""
        principal = principal_of(request)
        _require_idle(session)
        if session.prompt is None or is_unsaved(session.prompt):
            return self._result_only(no_result())
        key, number = session.prompt.key, session.prompt.newest
        await self._orchestrator.studio.delete(key, principal, expected=[number])
        session.drafts.pop(key, None)
        session.prompt = None
        return await self._show(None, session, principal)

    async def _save(
        self,
        session: SessionState,
        message: str | None,
        inputs: bool,
        fields: Sequence[Any],
        principal: Principal,
        *,
        over: int | None = None,
    ) -> list[Any]:
        _require_idle(session)
        self._editor.read_fields(session, fields, strict=True)
        key = session.prompt.key if session.prompt else ""
        await self._editor.drafts.save(session, principal)
        if session.draft.save_error:
            return self._result_only(error_result(session.draft.save_error.message))
        try:
            saved = await self._orchestrator.drafts.save(
                key,
                principal,
                shown=_shown(session),
                message=str(message or "").strip(),
                over=over,
                inputs=bool(inputs),
            )
        except VersionConflictError as error:
            return self._result_only(await self._conflict(session, error, principal))
        except HerdingError as error:
            return self._result_only(error_result(error.message))
        session.clear_edits()
        updates = await self._show(key, session, principal)
        return [*updates[: self._prompt_outputs], *saved_result(saved)]

    async def _conflict(self, session: SessionState, error: VersionConflictError, principal: Principal) -> list[Any]:
        """Return the updates that show the conflicting version beside the draft."""
        if not error.newest or session.prompt is None:
            return error_result(error.message)
        key, number = session.prompt.key, error.newest
        version = (await self._orchestrator.studio.version(key, number, principal)).about
        session.draft.conflict = number
        try:
            diff = await self._orchestrator.drafts.diff(key, number, principal, shown=_shown(session))
        except HerdingError:  # the draft does not parse on top of the new version
            diff = None
        return conflict_result(version, session.draft.base_version, diff)

    def _result_only(self, result: list[Any]) -> list[Any]:
        """Return updates that change nothing but the result of a save."""
        return [*(gr.skip() for _ in range(self._prompt_outputs)), *result]


def _require_idle(session: SessionState) -> None:
    if session.running_id is not None:
        raise UserError(BUSY)


def _shown(session: SessionState) -> DisplayedEdits:
    """Return what the page shows; the same user may have other edits in another browser."""
    return DisplayedEdits(session.edits(), session.draft.base_version)
