"""The routes that change the draft as a whole: YAML or form, undo and redo, revert, reset, discard and delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from herding.access.operations import PUBLISH, RUN, SAVE
from herding.errors import DraftConflictError, NotFoundError, UserError
from herding.prompts.edits import Edits, load_edits
from herding.ui.engineer.edited import (
    NO_EDITS,
    StoredDraft,
    editable,
    open_draft,
    require_prompt,
    seen_by,
    step_before,
    store,
    typed,
    with_edits,
)
from herding.ui.engineer.editor import Editor, open_prompt
from herding.ui.engineer.form import EditedPrompt, read_form
from herding.ui.kit.views import Call, Reply, fragment
from herding.values import Principal


class DraftRoutes(Editor):
    """Each route stores what was typed first, and returns the form anew."""

    @fragment("POST", "/way", SAVE)
    async def way(self, call: Call) -> Reply:
        """Show the full YAML, or the form, with the same edits."""
        who, to = call.principal, call.text("to")
        edited = await read_form(call, self._orchestrator)
        draft = await typed(edited, who, self._orchestrator, seen_by(call))
        if to == "form" and edited.data is None:
            raise UserError("Fix the YAML before you edit it as a form.", param="yaml")
        shown = await self.shown(replace(edited, way="yaml" if to == "yaml" else "form"), who, draft)
        return Reply(self.form_of(shown, who))

    @fragment("POST", "/undo", RUN)
    async def undo(self, call: Call) -> Reply:
        """Undo the last step of the draft; before the first step is the saved prompt."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        draft = await typed(edited, who, self._orchestrator, seen_by(call))
        if draft.conflict:
            return Reply(self.form_of(await self.shown(edited, who, draft), who))
        steps = await self._orchestrator.drafts.steps(edited.key, who)
        step = step_before(steps, call.whole("undo_step"), edited.edits)
        if step is None and (edited.edits.empty or edited.new):
            return Reply(await self._again(edited, who, call), notice="Nothing to undo.")
        redo = [*call.texts("redo"), edited.edits.dump()]
        return await self._replace(
            edited, step.edits if step else NO_EDITS, call, step=step.seq if step else 0, redo=redo
        )

    @fragment("POST", "/redo", RUN)
    async def redo(self, call: Call) -> Reply:
        """Repeat what was undone last."""
        who, undone = call.principal, call.texts("redo")
        edited = await read_form(call, self._orchestrator)
        if not undone:
            return Reply(await self._again(edited, who, call), notice="Nothing to redo.")
        try:
            edits = load_edits(undone[-1])
        except ValueError:
            raise UserError("This page is out of date. Reload it.", param="redo") from None
        rest = undone[:-1]
        return await self._replace(edited, edits, call, step=call.whole("undo_step") if rest else 0, redo=rest)

    @fragment("POST", "/revert", RUN)
    async def revert(self, call: Call) -> Reply:
        """Revert the prompt to the saved version; the values stay."""
        edited = await read_form(call, self._orchestrator)
        if edited.new:
            raise UserError("A new prompt has no saved version to revert to.", param="prompt")
        return await self._replace(edited, edited.edits.inputs, call)

    @fragment("POST", "/reset", RUN)
    async def reset(self, call: Call) -> Reply:
        """Reset the values to their defaults."""
        edited = await read_form(call, self._orchestrator)
        return await self._replace(edited, replace(edited.edits, variables={}), call)

    async def _replace(
        self, edited: EditedPrompt, edits: Edits, call: Call, *, step: int = 0, redo: Sequence[str] = ()
    ) -> Reply:
        """Show other edits of the same prompt; those before are a step to go back to."""
        who, seen = call.principal, seen_by(call)
        draft = await typed(edited, who, self._orchestrator, seen)
        if draft.conflict:
            return Reply(self.form_of(await self.shown(edited, who, draft), who))
        made = await with_edits(edited.saved, edits, who, self._orchestrator, model=edited.model, way=edited.way)
        draft = await store(made, who, self._orchestrator, seen=seen.after(draft.revision))
        return Reply(self.form_of(await self.shown(made, who, draft, undo_step=step, redo=redo), who))

    async def _again(self, edited: EditedPrompt, who: Principal, call: Call) -> Markup:
        draft = await typed(edited, who, self._orchestrator, seen_by(call))
        shown = await self.shown(edited, who, draft, undo_step=call.whole("undo_step"), redo=call.texts("redo"))
        return self.form_of(shown, who)

    @fragment("POST", "/discard", RUN)
    async def discard(self, call: Call) -> Reply:
        """Discard the draft, and with it a prompt that was never saved."""
        key, who, seen = call.text("key"), call.principal, seen_by(call)
        try:
            await self._orchestrator.drafts.discard(key, who, seen=seen)
        except DraftConflictError as error:
            edited = await read_form(call, self._orchestrator)
            draft = StoredDraft(error=error, revision=call.text("draft_revision"))
            return Reply(self.form_of(await self.shown(edited, who, draft), who))
        return await self.reopened(key, who)

    @fragment("POST", "/keep", RUN)
    async def keep(self, call: Call) -> Reply:
        """Store this page's draft in place of another page's, which is a step to go back to."""
        who = call.principal
        edited = await read_form(call, self._orchestrator)
        draft = await store(edited, who, self._orchestrator, seen=replace(seen_by(call), revision=None))
        return Reply(self.form_of(await self.shown(edited, who, draft), who))

    @fragment("POST", "/load", RUN)
    async def load(self, call: Call) -> Reply:
        """Show another page's draft instead of this page's, which is a step to go back to."""
        who, key = call.principal, call.text("key")
        edited = await read_form(call, self._orchestrator)
        saved = require_prompt(await editable(key, who, self._orchestrator), key)
        other, _ = await open_draft(saved, who, self._orchestrator, model=edited.model)
        for made in (edited, other):
            draft = await store(made, who, self._orchestrator, seen=replace(seen_by(call), revision=None))
            if draft.error is not None:
                return Reply(self.form_of(await self.shown(edited, who, draft), who))
        return Reply(self.form_of(await self.shown(other, who, draft), who))

    @fragment("POST", "/delete", PUBLISH)
    async def delete(self, call: Call) -> Reply:
        """Delete the prompt, unless another version of it was saved meanwhile."""
        key, who = call.text("key"), call.principal
        saved = await editable(key, who, self._orchestrator)
        if saved is None:
            raise NotFoundError(f"Prompt '{key}' no longer exists.", param="prompt")
        await self._orchestrator.studio.delete(key, who, expected=[call.whole("base_version") or saved.newest])
        return Reply(Markup(), notice=f"Deleted {key}.", events=open_prompt(""))
