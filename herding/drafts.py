"""Drafts: what somebody wrote and did not save, kept for them until they save or discard it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from herding.access.operations import EDIT, PROMPTS, SAVE
from herding.access.roles import allows, require
from herding.errors import NotFoundError, StoreError, UserError
from herding.intake import Saved
from herding.prompts.diff import PromptDiff, compare
from herding.prompts.edits import Edits, applied, load
from herding.prompts.key import check_key, no_prompt
from herding.prompts.saving import Names
from herding.shelf import Edition, Shelf
from herding.store.studio import StudioStore
from herding.studio import Studio
from herding.values import Draft, Principal

NOW_MS = 5 * 60 * 1000
"""Whoever changed a draft in the last five minutes edits it now."""

MOST_EDITORS = 20


@dataclass(frozen=True, slots=True)
class Kept:
    """Somebody's draft of a prompt, on top of version `base` of it (0: not saved yet); `updated_at` is Unix ms."""

    key: str
    edits: Edits
    base: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class Step:
    """An earlier state of a draft; a later one has a greater `seq`."""

    seq: int
    edits: Edits
    at: int


class Drafts:
    """Keeps, gives back, saves and discards drafts; everybody has their own.

    Every method takes the principal who asks and raises AccessError where their role does not allow it, NotFoundError
    where there is no such prompt for them. `find` gives the version of a prompt that a key means.

    Inputs and parameters are kept for whoever sees the prompt; an edited template takes the right `edit`, and a whole
    prompt, or one that is not there yet, the right `save`.
    """

    def __init__(
        self,
        *,
        store: StudioStore,
        shelf: Shelf,
        studio: Studio,
        find: Callable[[str, Principal], Awaitable[Edition]],
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._shelf = shelf
        self._studio = studio
        self._find = find
        self._clock = clock

    async def keep(self, key: str, edits: Edits, who: Principal, *, base: int | None = None) -> Kept:
        """Keep edits that are based on version `base` (None: the newest); durable on return."""
        newest = await self._newest(key, who)
        if edits.template is not None:
            require(who, EDIT)
        if edits.whole is not None:
            require(who, SAVE)
        base = newest if base is None else base
        if base < 0 or (newest and base > newest):
            raise UserError(f"There is no version {base} of '{key}' to base a draft on.", param="base")
        kept = Kept(key, edits, base, self._clock())
        await self._store.save_draft(who.id, key, edits.dump(), base=base, at=kept.updated_at)
        return kept

    async def begin(self, key: str, edits: Edits, who: Principal) -> Kept:
        """Keep edits of a prompt that is not there yet; ConflictError for a key that differs from another by its case.

        Nothing could be saved under such a key: some disks do not tell the two files apart.
        """
        if not await self._newest(key, who):
            Names(self._shelf.heads).refuse_other_case(key)
        return await self.keep(key, edits, who, base=0)

    async def of(self, key: str, who: Principal) -> Kept | None:
        """The draft of a prompt, None where there is none."""
        await self._newest(key, who)
        found = await self._store.draft(who.id, key)
        return _kept(found) if found else None

    async def mine(self, who: Principal) -> tuple[Kept, ...]:
        """All drafts in which something is edited, the one that changed last first."""
        require(who, PROMPTS)
        found = [_kept(draft) for draft in await self._store.drafts(who.id)]
        return tuple([kept for kept in found if not kept.edits.empty and await self._sees(kept.key, who)])

    async def steps(self, key: str, who: Principal) -> tuple[Step, ...]:
        """What can be gone back to, oldest first."""
        await self._newest(key, who)
        found = await self._store.draft_steps(who.id, key)
        return tuple(Step(step.seq, _edits(key, step.content), step.at) for step in found)

    async def discard(self, key: str, who: Principal) -> None:
        """Delete a draft with its steps; it need not be there."""
        await self._newest(key, who)
        await self._store.discard_draft(who.id, key)

    async def editors(self, key: str, who: Principal) -> tuple[str, ...]:
        """The ids of those who edit a prompt now, too; who only fills in its inputs does not. It takes `edit`."""
        require(who, EDIT)
        await self._newest(key, who)
        found = await self._store.editors(key, since=self._clock() - NOW_MS)
        others = [other for other in found if other != who.id][:MOST_EDITORS]
        drafts = [await self._store.draft(other, key) for other in others]
        return tuple(draft.principal for draft in drafts if draft and _edits(key, draft.content).changes_prompt)

    async def save(
        self, key: str, who: Principal, *, message: str = "", over: int | None = None, inputs: bool = False
    ) -> Saved:
        """Make the draft a version; what remains of it then are the inputs, unless these become defaults (`inputs`).

        VersionConflictError where the newest version is neither the draft's base nor `over`, which lays the edits on
        top of that version; UserError says what is wrong. In both cases nothing is written and the draft stays.
        """
        require(who, SAVE)
        kept = await self._mine(key, who)
        base = kept.base if over is None else over
        data = await self._applied(kept, base, who, inputs=inputs)
        said: dict[str, Any] = {"base": base, "message": message, "source": "ui", "typed": kept.edits.whole}
        saved = await self._studio.save(key, data, who, **said)
        rest = Edits() if inputs else kept.edits.inputs
        if rest.empty:
            await self._store.discard_draft(who.id, key)
        else:
            await self._store.save_draft(who.id, key, rest.dump(), base=saved.version, at=self._clock())
        return saved

    async def compared(self, key: str, number: int, who: Principal) -> PromptDiff:
        """What saving the draft on top of version `number` would change of it. Raises what `save` raises."""
        require(who, SAVE)
        kept = await self._mine(key, who)
        theirs = await self._studio.sight.edition(key, number, who)
        return compare(theirs.prompt.content, await self._applied(kept, number, who))

    async def _applied(self, kept: Kept, base: int, who: Principal, *, inputs: bool = False) -> dict[str, Any]:
        content = (await self._studio.sight.edition(kept.key, base, who)).prompt.content if base else {}
        if not content and kept.edits.whole is None:
            raise UserError("A new prompt is saved whole. Write it as YAML.", param="whole")
        return await asyncio.to_thread(applied, kept.key, content, kept.edits, inputs=inputs)

    async def _mine(self, key: str, who: Principal) -> Kept:
        kept = await self.of(key, who)
        if kept is None or not (kept.edits.changes_prompt or kept.edits.variables):
            raise NotFoundError(f"There is no draft of '{key}' to save.", param="key")
        return kept

    async def _newest(self, key: str, who: Principal) -> int:
        """The newest number of a prompt, 0 for one that `who` may make."""
        require(who, PROMPTS)
        try:
            await self._find(key, who)
        except NotFoundError:
            if key in self._shelf.heads or SAVE not in who.rights or not allows(who.prompts, key):
                raise no_prompt(key) from None
            check_key(key)
        head = self._shelf.heads.get(key)
        return head.newest if head else 0

    async def _sees(self, key: str, who: Principal) -> bool:
        try:
            await self._newest(key, who)
        except UserError:
            return False
        return True


def _kept(draft: Draft) -> Kept:
    return Kept(draft.key, _edits(draft.key, draft.content), draft.base, draft.updated_at)


def _edits(key: str, content: str) -> Edits:
    try:
        return load(content)
    except ValueError:
        raise StoreError(f"The draft of '{key}' cannot be read: it was kept by another Herding.") from None
