"""Loads the drafts of a session from the server, and saves them there."""

from __future__ import annotations

from collections.abc import Sequence

from herding.access.operations import EDIT, SAVE
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.studio.drafts import DraftStep
from herding.ui.engineer.session_state import NO_EDITS, SessionState, is_unsaved, new_prompt
from herding.values import Principal, PromptInfo


class SessionDrafts:
    """Keeps the drafts of sessions in sync with those on the server."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._drafts = orchestrator.drafts

    async def editable(self, prompt: PromptInfo, principal: Principal) -> PromptInfo:
        """Return the version to edit: the newest one for those who may save, else `prompt`."""
        if SAVE in principal.rights and prompt.version > 0 and (prompt.newest > prompt.version or prompt.text is None):
            try:
                return await self._orchestrator.prompts.get(f"{prompt.key}@newest", principal)
            except NotFoundError:  # not visible to this role
                return prompt
        return prompt

    async def unsaved_keys(self, principal: Principal) -> list[str]:
        """Return the keys of the principal's new prompts without a saved version."""
        if SAVE not in principal.rights:
            return []
        drafts = await self._drafts.list_all(principal)
        return [draft.key for draft in drafts if draft.base == 0 and draft.edits.whole is not None]

    async def restore(self, session: SessionState, form_key: str, principal: Principal) -> None:
        """Restore the session of a page that was opened before the app restarted."""
        if session.prompt is not None or not form_key:
            return
        view, _, revision = form_key.partition("#")
        key = view.removesuffix("@whole")
        try:
            session.prompt = await self.editable(await self._orchestrator.prompts.get(key, principal), principal)
        except NotFoundError:
            if key not in await self.unsaved_keys(principal):
                return
            session.prompt = new_prompt(key)
        session.form_shape = None
        await self.load(session, principal)
        session.draft.shows_yaml, session.draft.revision = view.endswith("@whole"), int(revision or 0)

    async def load(self, session: SessionState, principal: Principal) -> None:
        """Load the draft of the selected prompt once; edits made in the session meanwhile stay."""
        draft, prompt = session.draft, session.prompt
        if draft.loaded or prompt is None:
            return
        draft.loaded, draft.base_version = True, prompt.version
        try:
            saved = await self._drafts.get(prompt.key, principal)
        except HerdingError as error:
            draft.save_error = error
            return
        if saved is None or saved.edits.empty:
            return
        draft.base_version, draft.saved_edits, draft.saved_at = saved.base, saved.edits, saved.updated_at
        if session.edits().empty:
            revision, shows_yaml = draft.revision, draft.shows_yaml
            session.apply(saved.edits)
            draft.revision = revision
            draft.shows_yaml = draft.shows_yaml or (shows_yaml and not saved.edits.changes_prompt)
            await self.parse(session, principal)
            if not draft.changes_prompt:
                draft.base_version = prompt.version

    async def save(
        self, session: SessionState, principal: Principal, *, always: bool = False, typed: bool = True
    ) -> None:
        """Save the draft if it changed, or `always`; on failure the draft holds the error.

        Edits that were not `typed` leave a step to undo to.
        """
        draft, prompt = session.draft, session.prompt
        if prompt is None:
            return
        await self.parse(session, principal)
        edits = session.edits()
        if edits == draft.saved_edits and draft.save_error is None and not always:
            return
        if not draft.saved_edits.changes_prompt:
            draft.base_version = prompt.version
        if principal.opt_out:  # the edits are in this page only
            draft.saved_edits, draft.saved_at, draft.save_error = edits, None, None
            return
        try:
            before = draft.saved_edits if typed else None
            saved = await self._drafts.store(prompt.key, edits, principal, base=draft.base_version, before=before)
        except HerdingError as error:
            draft.save_error = error
            return
        draft.saved_edits, draft.saved_at, draft.save_error = edits, saved.updated_at, None

    async def parse(self, session: SessionState, principal: Principal) -> None:
        """Parse the edited YAML; while it does not parse, the last valid prompt stays."""
        draft, prompt = session.draft, session.prompt
        if prompt is None or draft.whole is None:
            draft.parsed, draft.parsed_text, draft.parse_error = None, None, None
            return
        if draft.whole == draft.parsed_text and draft.parse_error is None:
            return
        try:
            draft.parsed = await self._orchestrator.prompts.sketch(prompt.key, draft.whole, principal)
            draft.parsed_text, draft.parse_error = draft.whole, None
        except HerdingError as error:
            draft.parse_error = error

    async def other_editors(self, session: SessionState, principal: Principal) -> tuple[str, ...]:
        """Return the names of other users who edit the selected prompt now."""
        if session.prompt is None or EDIT not in principal.rights or session.draft.save_error:
            return ()
        return await self._drafts.editors(session.prompt.key, principal)

    async def undo(self, session: SessionState, principal: Principal) -> None:
        """Go back one step; before the first step is the saved prompt."""
        if session.prompt is None:
            return
        draft, edits = session.draft, session.edits()
        step = _step_before(await self._drafts.steps(session.prompt.key, principal), draft.undo_step, edits)
        if step is None and (edits.empty or is_unsaved(session.prompt)):
            return
        draft.redo_stack.append(edits)
        draft.undo_step = step.seq if step else 0
        session.apply(step.edits if step else NO_EDITS)
        await self.save(session, principal, typed=False)

    async def redo(self, session: SessionState, principal: Principal) -> None:
        """Repeat what was undone last."""
        draft = session.draft
        if not draft.redo_stack:
            return
        session.apply(draft.redo_stack.pop())
        if not draft.redo_stack:
            draft.undo_step = None
        await self.save(session, principal, typed=False)

    async def discard(self, session: SessionState, principal: Principal) -> None:
        """Discard the draft with its steps."""
        if session.prompt is None:
            return
        await self._drafts.discard(session.prompt.key, principal)
        session.clear_edits()

    async def take_theirs(self, session: SessionState, newest: PromptInfo, principal: Principal) -> None:
        """Continue from the newest version; Redo brings the own edits back."""
        edits, draft = session.edits(), session.draft
        session.prompt = newest
        session.apply(edits.inputs)
        draft.saved_edits, draft.redo_stack = NO_EDITS, [edits]
        draft.undo_step = draft.conflict = None
        await self.save(session, principal, always=True, typed=False)


def _step_before(steps: Sequence[DraftStep], shown: int | None, edits: Edits) -> DraftStep | None:
    """Return the latest step before the one shown that differs from `edits`."""
    found = [step for step in steps if (shown is None or step.seq < shown) and step.edits != edits]
    return found[-1] if found else None
