"""Keeps on the server what is on a desk, and brings it back."""

from __future__ import annotations

from collections.abc import Sequence

from herding.access.operations import EDIT, SAVE
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.studio.drafts import Step
from herding.ui.engineer.session_state import NOTHING, SessionState, blank, is_new
from herding.values import Principal, PromptInfo


class Keeper:
    """The drafts of a session and those of the server, as one."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._drafts = orchestrator.drafts

    async def opened(self, prompt: PromptInfo, who: Principal) -> PromptInfo:
        """The version of a prompt that is shown: whoever may save another one starts from the newest, and its text."""
        if SAVE in who.rights and prompt.version > 0 and (prompt.newest > prompt.version or prompt.text is None):
            try:
                return await self._orchestrator.prompts.get(f"{prompt.key}@newest", who)
            except NotFoundError:  # not for this role
                return prompt
        return prompt

    async def unsaved(self, who: Principal) -> list[str]:
        """The keys of new prompts that this principal writes and did not save yet."""
        if SAVE not in who.rights:
            return []
        return [kept.key for kept in await self._drafts.mine(who) if kept.base == 0 and kept.edits.whole is not None]

    async def find(self, owner: str, who: Principal) -> PromptInfo | None:
        """The prompt whose edits a page sends that was opened before the app was started anew."""
        key = owner.partition("#")[0].removesuffix("@whole")
        try:
            return await self.opened(await self._orchestrator.prompts.get(key, who), who)
        except NotFoundError:
            return blank(key) if key in await self.unsaved(who) else None

    async def load(self, desk: SessionState, who: Principal) -> None:
        """Bring the draft of the chosen prompt from the server, once; what the session edited meanwhile stays."""
        draft, prompt = desk.draft, desk.prompt
        if draft.loaded or prompt is None:
            return
        draft.loaded, draft.base = True, prompt.version
        try:
            kept = await self._drafts.of(prompt.key, who)
        except HerdingError as error:
            draft.trouble = error
            return
        if kept is None or kept.edits.empty:
            return
        draft.base, draft.kept, draft.kept_at = kept.base, kept.edits, kept.updated_at
        if desk.edits().empty:
            turned, whole = draft.turned, draft.as_whole
            desk.take(kept.edits)
            draft.turned, draft.as_whole = turned, draft.as_whole or (whole and not kept.edits.changes_prompt)
            await self.draw(desk, who)
            if not draft.changes_prompt:
                draft.base = prompt.version

    async def keep(self, desk: SessionState, who: Principal, *, anyway: bool = False, typed: bool = True) -> None:
        """Keep what changed since the last time, or `anyway`; where that fails, the draft says why.

        What was `typed` goes on from what was there; anything else leaves that as a step to go back to.
        """
        draft, prompt = desk.draft, desk.prompt
        if prompt is None:
            return
        await self.draw(desk, who)
        edits = desk.edits()
        if edits == draft.kept and draft.trouble is None and not anyway:
            return
        if not draft.kept.changes_prompt:
            draft.base = prompt.version
        try:
            before = draft.kept if typed else None
            kept = await self._drafts.keep(prompt.key, edits, who, base=draft.base, before=before)
        except HerdingError as error:
            draft.trouble = error
            return
        draft.kept, draft.kept_at, draft.trouble = edits, kept.updated_at, None

    async def draw(self, desk: SessionState, who: Principal) -> None:
        """Make a prompt of the YAML that is written; what it was before stays while it makes none."""
        draft, prompt = desk.draft, desk.prompt
        if prompt is None or draft.whole is None:
            draft.sketch, draft.sketched, draft.wrong = None, None, None
            return
        if draft.whole == draft.sketched and draft.wrong is None:
            return
        try:
            draft.sketch = await self._orchestrator.prompts.sketch(prompt.key, draft.whole, who)
            draft.sketched, draft.wrong = draft.whole, None
        except HerdingError as error:
            draft.wrong = error

    async def others(self, desk: SessionState, who: Principal) -> tuple[str, ...]:
        """Who else edits the chosen prompt now."""
        if desk.prompt is None or EDIT not in who.rights or desk.draft.trouble:
            return ()
        return await self._drafts.editors(desk.prompt.key, who)

    async def undo(self, desk: SessionState, who: Principal) -> None:
        """Go back one step; before the first one there is the prompt as it is saved."""
        draft, now = desk.draft, desk.edits()
        steps: Sequence[Step] = () if desk.prompt is None else await self._drafts.steps(desk.prompt.key, who)
        back = _before(steps, draft.step, now)
        if desk.prompt is None or (back is None and (now.empty or is_new(desk.prompt))):
            return
        draft.undone.append(now)
        draft.step = back.seq if back else 0
        desk.take(back.edits if back else NOTHING)
        await self.keep(desk, who, typed=False)

    async def redo(self, desk: SessionState, who: Principal) -> None:
        """Do again what was undone last."""
        draft = desk.draft
        if not draft.undone:
            return
        desk.take(draft.undone.pop())
        if not draft.undone:
            draft.step = None
        await self.keep(desk, who, typed=False)

    async def discard(self, desk: SessionState, who: Principal) -> None:
        """Back to the prompt as it is saved; the steps are gone too."""
        if desk.prompt is None:
            return
        await self._drafts.discard(desk.prompt.key, who)
        forget(desk)

    async def theirs(self, desk: SessionState, newest: PromptInfo, who: Principal) -> None:
        """Take the newest version; one's own edits can be done again."""
        now = desk.edits()
        desk.prompt = newest
        desk.take(now.inputs)
        desk.draft.kept, desk.draft.step, desk.draft.undone, desk.draft.clash = NOTHING, None, [now], None
        await self.keep(desk, who, anyway=True, typed=False)


def forget(desk: SessionState) -> None:
    """The desk without edits of the chosen prompt; what the server keeps of them comes back by `load`."""
    draft, whole = desk.draft, desk.draft.as_whole
    desk.take(NOTHING)
    draft.as_whole = whole
    draft.sketch = draft.sketched = draft.wrong = draft.trouble = draft.kept_at = draft.step = draft.clash = None
    draft.kept, draft.undone, draft.loaded = NOTHING, [], False
    if desk.prompt:
        draft.base = desk.prompt.version


def _before(steps: Sequence[Step], shown: int | None, now: Edits) -> Step | None:
    """The latest step before the one that is shown that looks otherwise than what is there now."""
    found = [step for step in steps if (shown is None or step.seq < shown) and step.edits != now]
    return found[-1] if found else None
