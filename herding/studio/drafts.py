"""Drafts: what somebody wrote and did not save, kept for them until they save or discard it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from herding.access.operations import EDIT, PROMPTS, SAVE
from herding.access.roles import allows, may_see, require
from herding.errors import NotFoundError, StoreError, UserError
from herding.prompts.diff import PromptDiff, compare
from herding.prompts.directory import KeySpellings
from herding.prompts.edits import Edits, apply_edits, load_edits, to_full_edits
from herding.prompts.model import check_key, prompt_not_found
from herding.store.prompt_store import PromptStore
from herding.studio.catalog import PromptCatalog
from herding.studio.importer import Saved
from herding.studio.studio import Studio
from herding.studio.version_cache import VersionCache
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
class Shown:
    """Edits on top of version `base` as somebody's page shows them."""

    edits: Edits
    base: int


@dataclass(frozen=True, slots=True)
class Step:
    """An earlier state of a draft; a later one has a greater `seq`."""

    seq: int
    edits: Edits
    at: int


class Drafts:
    """Keeps, gives back, saves and discards drafts; everybody has their own.

    Every method takes the principal who asks and raises AccessError where their role does not allow it, NotFoundError
    where there is no such prompt for them.

    Inputs and parameters are kept for whoever sees the prompt; an edited template takes the right `edit`, and a whole
    prompt, or one that is not there yet, the right `save`.
    """

    def __init__(
        self,
        *,
        store: PromptStore,
        version_cache: VersionCache,
        studio: Studio,
        prompts: PromptCatalog,
        clock: Callable[[], int],
    ) -> None:
        self._store = store
        self._version_cache = version_cache
        self._studio = studio
        self._prompts = prompts
        self._clock = clock

    async def keep(
        self, key: str, edits: Edits, who: Principal, *, base: int | None = None, before: Edits | None = None
    ) -> Kept:
        """Keep edits that are based on version `base` (None: the newest); durable on return.

        They go on from those `before`; others that are there can be gone back to.
        """
        newest = await self._newest(key, who)
        if edits.template is not None:
            require(who, EDIT)
        if edits.whole is not None:
            require(who, SAVE)
        base = newest if base is None else base
        if base < 0 or (newest and base > newest):
            raise UserError(f"There is no version {base} of '{key}' to base a draft on.", param="base")
        kept = Kept(key, edits, base, self._clock())
        known = "" if before is None else before.dump()
        await self._store.save_draft(who.id, key, edits.dump(), base=base, at=kept.updated_at, known=known)
        return kept

    async def begin(self, key: str, edits: Edits, who: Principal) -> Kept:
        """Keep edits of a prompt that is not there yet; ConflictError for a key that differs from another by its case.

        Nothing could be saved under such a key: some disks do not tell the two files apart.
        """
        if not await self._newest(key, who):
            KeySpellings(self._version_cache.heads).refuse_other_case(key)
        return await self.keep(key, edits, who, base=0)

    async def of(self, key: str, who: Principal) -> Kept | None:
        """The draft of a prompt, None where there is none.

        Where the prompt was deleted meanwhile, it is the draft of a new one: all of it, based on nothing.
        """
        await self._newest(key, who)
        found = await self._store.draft(who.id, key)
        return await self._kept(found, who) if found else None

    async def mine(self, who: Principal) -> tuple[Kept, ...]:
        """All drafts in which something is edited, the one that changed last first."""
        require(who, PROMPTS)
        found = [draft for draft in await self._store.drafts(who.id) if await self._sees(draft.key, who)]
        return tuple([kept for draft in found if not (kept := await self._kept(draft, who)).edits.empty])

    async def steps(self, key: str, who: Principal) -> tuple[Step, ...]:
        """What can be gone back to, oldest first."""
        newest, draft = await self._newest(key, who), await self._store.draft(who.id, key)
        found = [Step(s.seq, _edits(key, s.content), s.at) for s in await self._store.draft_steps(who.id, key)]
        if newest or draft is None:
            return tuple(found)
        alone = [replace(step, edits=(await self._alone(key, step.edits, draft.base, who))[0]) for step in found]
        return tuple(step for step in alone if step.edits.whole is not None)  # a new prompt has nothing else

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
        self,
        key: str,
        who: Principal,
        *,
        shown: Shown | None = None,
        message: str = "",
        over: int | None = None,
        inputs: bool = False,
    ) -> Saved:
        """Make the draft a version; what remains of it then are the inputs, unless these become defaults (`inputs`).

        What is `shown` is saved in the place of the draft; a draft that the same person left in another browser, and
        that says something else, stays. VersionConflictError where the newest version is neither the draft's base nor
        `over`, which lays the edits on top of that version; UserError says what is wrong. In both cases nothing is
        written and the draft stays.
        """
        require(who, SAVE)
        kept, alone = await self._mine(key, who, shown)
        base = kept.base if over is None else over
        data = await self._applied(kept, base, who, inputs=inputs)
        said: dict[str, Any] = {"base": base, "message": message, "source": "ui", "typed": kept.edits.whole}
        saved = await self._studio.save(key, data, who, **said)
        rest = Edits() if inputs else kept.edits.inputs
        if not alone:
            return saved
        if rest.empty:
            await self._store.discard_draft(who.id, key)
        else:
            await self._store.save_draft(who.id, key, rest.dump(), base=saved.version, at=self._clock())
        return saved

    async def compared(self, key: str, number: int, who: Principal, *, shown: Shown | None = None) -> PromptDiff:
        """What saving the draft on top of version `number` would change of it. Raises what `save` raises."""
        require(who, SAVE)
        kept, _ = await self._mine(key, who, shown)
        theirs = await self._studio.permissions.edition(key, number, who)
        return compare(theirs.prompt.content, await self._applied(kept, number, who))

    async def _applied(self, kept: Kept, base: int, who: Principal, *, inputs: bool = False) -> dict[str, Any]:
        content = (await self._studio.permissions.edition(kept.key, base, who)).prompt.content if base else {}
        if not content and kept.edits.whole is None:
            raise UserError("A new prompt is saved whole. Write it as YAML.", param="whole")
        return await asyncio.to_thread(apply_edits, kept.key, content, kept.edits, inputs=inputs)

    async def _mine(self, key: str, who: Principal, shown: Shown | None) -> tuple[Kept, bool]:
        """What is to be saved, and whether there is no other draft beside it."""
        kept = await self.of(key, who)
        alone = shown is None or kept is None or kept.edits == shown.edits
        if shown is not None:
            kept = Kept(key, shown.edits, shown.base, self._clock())
        if kept is None or kept.edits.empty:
            raise NotFoundError(f"There is no draft of '{key}' to save.", param="key")
        return kept, alone

    async def _kept(self, draft: Draft, who: Principal) -> Kept:
        edits, base = await self._alone(draft.key, _edits(draft.key, draft.content), draft.base, who)
        return Kept(draft.key, edits, base, draft.updated_at)

    async def _alone(self, key: str, edits: Edits, base: int, who: Principal) -> tuple[Edits, int]:
        """Edits with their base; where their prompt was deleted, as those of a new one."""
        if base and edits.changes_prompt and key not in self._version_cache.heads:
            known = await self._version_cache.edition(key, base)
            if known is not None and may_see(who, key, known.prompt.roles):
                return to_full_edits(known.prompt.content, edits), 0
        return edits, base

    async def _newest(self, key: str, who: Principal) -> int:
        """The newest number of a prompt, 0 for one that `who` may make."""
        require(who, PROMPTS)
        try:
            await self._prompts.resolve(key, who)
        except NotFoundError:
            if key in self._version_cache.heads or SAVE not in who.rights or not allows(who.prompts, key):
                raise prompt_not_found(key) from None
            check_key(key)
        head = self._version_cache.heads.get(key)
        return head.newest if head else 0

    async def _sees(self, key: str, who: Principal) -> bool:
        try:
            await self._newest(key, who)
        except UserError:
            return False
        return True


def _edits(key: str, content: str) -> Edits:
    try:
        return load_edits(content)
    except ValueError:
        raise StoreError(f"The draft of '{key}' cannot be read: it was kept by another Herding.") from None
