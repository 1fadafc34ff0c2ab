"""The handlers of saving, of conflicts, and of deleting a prompt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr

from herding.access.operations import PUBLISH, RUN, SAVE
from herding.errors import ConflictError, HerdingError, UserError, VersionConflictError
from herding.orchestrator import Orchestrator
from herding.prompts.diff import PromptDiff
from herding.studio.drafts import Shown
from herding.ui.engineer.draft_keeper import forget
from herding.ui.engineer.editor import Editor
from herding.ui.engineer.save_form import at_rest, clashes, refused, saved
from herding.ui.engineer.session_state import SessionState, is_new
from herding.ui.kit.events import on, principal_of, requires
from herding.values import Principal

BUSY = "An answer still runs. Wait for it, or stop it, before you go on."

Show = Callable[[str | None, SessionState, Principal], Awaitable[list[Any]]]


class Saving:
    """Connects the save form and the button that deletes; `show` gives the updates of `outputs` for a prompt, which
    end with those of the form's results."""

    def __init__(
        self, orchestrator: Orchestrator, *, desk: gr.State, editor: Editor, outputs: Sequence[Any], show: Show
    ) -> None:
        self._orchestrator, self._editor, self._show = orchestrator, editor, show
        self._count = len(outputs) - len(editor.pane.saving.results)
        form = editor.pane.saving
        given = [desk, form.message, form.inputs, *editor.fields]
        shown, now = list(outputs), {"queue": False}
        self.changes = [
            on(form.save.click, self.save, given, shown, name="save_version", **now),
            on(form.mine.click, self.mine, given, shown, name="save_mine", **now),
            on(form.theirs.click, self.theirs, [desk, *editor.fields], shown, name="take_theirs", **now),
            on(editor.pane.discard.yes.click, self.discard, [desk], shown, name="discard_draft", **now),
            on(editor.remove.yes.click, self.delete, [desk], shown, name="delete_prompt", **now),
        ]

    @requires(SAVE)
    async def save(
        self, desk: SessionState, message: str | None, inputs: bool, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Save the draft as a version."""
        return await self._saved(desk, message, inputs, fields, principal_of(request))

    @requires(SAVE)
    async def mine(
        self, desk: SessionState, message: str | None, inputs: bool, request: gr.Request, *fields: Any
    ) -> list[Any]:
        """Save the draft on top of the version that somebody saved meanwhile, as it was shown."""
        return await self._saved(desk, message, inputs, fields, principal_of(request), over=desk.draft.clash)

    @requires(SAVE)
    async def theirs(self, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Take the version that somebody saved meanwhile; one's own can be done again."""
        principal, key = principal_of(request), desk.prompt.key if desk.prompt else ""
        if desk.running is not None:
            raise UserError(BUSY)
        self._editor.keep(desk, fields)
        newest = await self._orchestrator.prompts.get(f"{key}@newest", principal)
        await self._editor.keeper.theirs(desk, newest, principal)
        return await self._show(key, desk, principal)

    @requires(RUN)
    async def discard(self, desk: SessionState, request: gr.Request) -> list[Any]:
        """Discard the draft; a prompt that was never saved is gone with it."""
        principal = principal_of(request)
        if desk.running is not None:
            raise UserError(BUSY)
        key = desk.prompt.key if desk.prompt else None
        await self._editor.keeper.discard(desk, principal)
        if key and desk.prompt and is_new(desk.prompt):
            desk.drafts.pop(key)
            desk.prompt, key = None, None
        return await self._show(key, desk, principal)

    @requires(PUBLISH)
    async def delete(self, desk: SessionState, request: gr.Request) -> list[Any]:
        """Delete the prompt, as long as nobody saved another version of it."""
        principal = principal_of(request)
        if desk.running is not None:
            raise UserError(BUSY)
        if desk.prompt is None or is_new(desk.prompt):
            return [*self._as_it_is(), *at_rest()]
        key, number = desk.prompt.key, desk.prompt.newest
        await self._orchestrator.studio.delete(key, principal, expected=[number])
        desk.drafts.pop(key, None)
        desk.prompt = None
        return await self._show(None, desk, principal)

    async def _saved(
        self,
        desk: SessionState,
        message: str | None,
        inputs: bool,
        fields: Sequence[Any],
        principal: Principal,
        *,
        over: int | None = None,
    ) -> list[Any]:
        if desk.running is not None:
            raise UserError(BUSY)
        self._editor.keep(desk, fields, strict=True)
        draft, key = desk.draft, desk.prompt.key if desk.prompt else ""
        await self._editor.keeper.keep(desk, principal)
        if draft.trouble:
            return [*self._as_it_is(), *refused(draft.trouble.message)]
        try:
            entry: dict[str, Any] = {"message": str(message or "").strip(), "over": over, "inputs": bool(inputs)}
            result = await self._orchestrator.drafts.save(key, principal, shown=_shown(desk), **entry)
        except ConflictError as error:
            return [*self._as_it_is(), *await self._clash(desk, error, principal)]
        except HerdingError as error:
            return [*self._as_it_is(), *refused(error.message)]
        forget(desk)
        updates = await self._show(key, desk, principal)
        return [*updates[: self._count], *saved(result)]

    async def _clash(self, desk: SessionState, error: ConflictError, principal: Principal) -> list[Any]:
        """What somebody saved meanwhile, beside one's own."""
        if not isinstance(error, VersionConflictError) or not error.newest or desk.prompt is None:
            return refused(error.message)
        key, number = desk.prompt.key, error.newest
        version = (await self._orchestrator.studio.version(key, number, principal)).about
        desk.draft.clash = number
        return clashes(version, desk.draft.base, await self._compared(desk, key, number, principal))

    async def _compared(self, desk: SessionState, key: str, number: int, principal: Principal) -> PromptDiff | None:
        try:
            return await self._orchestrator.drafts.compared(key, number, principal, shown=_shown(desk))
        except HerdingError:  # it fits on the old version and not on the new one
            return None

    def _as_it_is(self) -> list[Any]:
        return [gr.skip() for _ in range(self._count)]


def _shown(desk: SessionState) -> Shown:
    """What the page shows: the same person may write something else in another browser."""
    return Shown(desk.edits(), desk.draft.base)
