"""The handlers of the editor: whatever changes the draft on the desk is kept at once."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import EDIT, RUN, SAVE
from herding.errors import UserError
from herding.ui.engineer.editor import Editor
from herding.ui.engineer.session_state import SessionState, is_new
from herding.ui.kit import prompt_text
from herding.ui.kit.events import on, principal_of, requires
from herding.values import Principal


class Editing:
    """Connects the fields and the buttons of an editor; `changes` are the events that change the draft."""

    def __init__(self, editor: Editor, desk: gr.State) -> None:
        self._editor, self._desk = editor, desk
        given, shown, now = [desk, *editor.fields], [desk, *editor.outputs], {"queue": False}
        typed, pane = [editor.typed.click, *editor.form.choices], editor.pane
        told = [desk, *editor.told]
        whole = [editor.as_whole, *given]
        self.changes = [
            on(typed, self.edited, given, told, name="edited", trigger_mode="always_last", **now),
            on(editor.reset.click, self.to_defaults, given, shown, name="to_defaults", **now),
            on(editor.revert_template.click, self.revert_text, given, shown, name="revert_template", **now),
            on(editor.revert_parameters.click, self.revert_numbers, given, shown, name="revert_parameters", **now),
            on(editor.as_whole.input, self.turn, whole, shown, name="whole", **now),
            on(pane.undo.click, self.undo, given, shown, name="undo", **now),
            on(pane.redo.click, self.redo, [desk], shown, name="redo", **now),
        ]

    @requires(RUN)
    async def edited(self, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Keep what is typed; tell which variant the form picks now, what is wrong with it, and what is not saved."""
        principal = principal_of(request)
        await self._mend(desk, str(fields[0] or ""), principal)
        before = desk.shown
        if before is None or not self._editor.keep(desk, fields):
            return [desk, *(gr.skip() for _ in self._editor.told)]
        if desk.edits() != desk.draft.kept:
            desk.draft.undone, desk.draft.step = [], None
        await self._editor.keeper.keep(desk, principal)
        return [desk, *await self._editor.fitted(desk, before), *await self._editor.tell(desk, principal)]

    async def _mend(self, desk: SessionState, owner: str, principal: Principal) -> None:
        """Go on with a page that was opened before the app was started anew."""
        if desk.prompt is not None or not owner:
            return
        desk.prompt = await self._editor.keeper.find(owner, principal)
        if desk.prompt is not None:
            desk.shape = None
            await self._editor.keeper.load(desk, principal)
            place, _, turned = owner.partition("#")
            desk.draft.as_whole, desk.draft.turned = place.endswith("@whole"), int(turned or 0)

    @requires(RUN)
    async def to_defaults(self, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Put the defaults back into the form."""
        self._editor.keep(desk, fields)
        desk.draft.values = {}
        return await self._again(desk, principal_of(request))

    @requires(EDIT)
    async def revert_text(self, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Back to the prompt's own template."""
        self._editor.keep(desk, fields)
        desk.draft.template = desk.draft.whole = None
        return await self._again(desk, principal_of(request))

    @requires(RUN)
    async def revert_numbers(self, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Back to the prompt's own parameters."""
        self._editor.keep(desk, fields)
        desk.draft.parameters = {}
        return await self._again(desk, principal_of(request))

    @requires(SAVE)
    async def turn(self, whole: bool, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Show all of the prompt as YAML, or its template alone; what is edited goes along."""
        refused = None
        if self._editor.keep(desk, fields) and desk.prompt is not None and not is_new(desk.prompt):
            try:
                desk.turn(whole=bool(whole))
            except UserError as error:
                refused = error
        updates = await self._again(desk, principal_of(request))
        return [
            prompt_text.error_note(refused) if refused and component is self._editor.fault else update
            for component, update in zip([self._desk, *self._editor.outputs], updates, strict=True)
        ]

    @requires(RUN)
    async def undo(self, desk: SessionState, request: gr.Request, *fields: Any) -> list[Any]:
        """Back one step of the draft."""
        self._editor.keep(desk, fields)
        await self._editor.keeper.keep(desk, principal_of(request))
        await self._editor.keeper.undo(desk, principal_of(request))
        return [desk, *await self._editor.show(desk, principal_of(request))]

    @requires(RUN)
    async def redo(self, desk: SessionState, request: gr.Request) -> list[Any]:
        """Do again what was undone."""
        await self._editor.keeper.redo(desk, principal_of(request))
        return [desk, *await self._editor.show(desk, principal_of(request))]

    async def _again(self, desk: SessionState, principal: Principal) -> list[Any]:
        """All fields, after something else than typing changed them."""
        desk.draft.turned += 1
        await self._editor.keeper.keep(desk, principal, typed=False)
        return [desk, *await self._editor.show(desk, principal)]
