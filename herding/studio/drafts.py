"""Drafts: unsaved edits of each user, stored until they are saved or discarded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from herding.access.operations import EDIT, PROMPTS, SAVE
from herding.access.roles import allows_all, require
from herding.errors import ConflictError, NotFoundError, StoreError, UserError
from herding.prompts.diff import PromptDiff, compare
from herding.prompts.directory import KeySpellings
from herding.prompts.edits import Edits, apply_edits, load_edits, to_full_edits
from herding.prompts.model import check_key, prompt_not_found
from herding.store.prompts.store import PromptStore
from herding.studio.catalog import PromptCatalog, require_drafts
from herding.studio.importer import SaveResult
from herding.studio.studio import Studio
from herding.studio.version_cache import VersionCache
from herding.values import ANY_DRAFT, Draft, Principal, SeenDraft

ACTIVE_MS = 5 * 60 * 1000
"""A user who changed a draft within this time counts as an active editor."""

MAX_EDITORS = 20
NOT_STORED = (
    "Drafts are not stored while the storage of your content is off. "
    "Save a version, or turn storage on in the Usage tab."
)


@dataclass(frozen=True, slots=True)
class PromptDraft:
    """The draft of a user, based on version `base` (0: a new prompt). `updated_at` is in Unix milliseconds.

    `revision` changes with every change; `page` is the id of the open page that saved it last, if one did.
    """

    key: str
    edits: Edits
    base: int
    updated_at: int
    revision: str = ""
    page: str = ""


@dataclass(frozen=True, slots=True)
class DisplayedEdits:
    """Edits, based on version `base`, as the page of a user shows them."""

    edits: Edits
    base: int


@dataclass(frozen=True, slots=True)
class DraftStep:
    """An earlier state of a draft. A later state has a greater `seq`."""

    seq: int
    edits: Edits
    at: int


class Drafts:
    """Stores, returns, saves and discards drafts. Each user has their own.

    Every method takes the principal and raises AccessError if their role does not allow it, or NotFoundError for
    prompts that they may not see.

    Inputs and parameters need no further right. An edited template needs the right `edit`; a full prompt, or a new one,
    needs the right `save`. For users who opted out of stored content no draft is stored; earlier ones stay until they
    delete them.
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

    async def store(
        self,
        key: str,
        edits: Edits,
        who: Principal,
        *,
        base: int | None = None,
        before: Edits | None = None,
        seen: SeenDraft = ANY_DRAFT,
    ) -> PromptDraft:
        """Store edits that are based on version `base` (None: the newest). Durable on return.

        They replace the edits `before`. If other edits are stored, those become a step that can be restored.

        Raises DraftConflictError if another page than those of `seen` changed the draft since, and ConflictError for
        a user who opted out of stored content. Without `seen` they replace any draft.
        """
        newest = await self._newest(key, who)
        if edits.template is not None:
            require(who, EDIT)
        if edits.whole is not None:
            require(who, SAVE)
        if edits.template is not None or edits.whole is not None:
            require_drafts(key, who)
        base = newest if base is None else base
        if base < 0 or (newest and base > newest):
            raise UserError(f"Prompt '{key}' has no version {base}.", param="base")
        if who.opt_out:
            raise ConflictError(NOT_STORED)
        known = "" if before is None else before.dump()
        made = await self._store.save_draft(
            who.id, key, edits.dump(), base=base, at=self._clock(), known=known, seen=seen
        )
        return PromptDraft(key, edits, base, made.updated_at, made.revision, made.page)

    async def store_new(self, key: str, edits: Edits, who: Principal) -> PromptDraft:
        """Store edits of a new prompt. Raises ConflictError if its key differs from another one only by case.

        Some file systems cannot store both files.
        """
        if not await self._newest(key, who):
            KeySpellings(self._version_cache.heads).refuse_other_case(key)
        return await self.store(key, edits, who, base=0)

    async def get(self, key: str, who: Principal) -> PromptDraft | None:
        """Return the draft of a prompt, or None.

        If the prompt was deleted meanwhile, the draft holds the full prompt and is based on version 0.
        """
        await self._newest(key, who)
        found = await self._store.draft(who.id, key)
        return await self._kept(found, who) if found else None

    async def list_all(self, who: Principal) -> tuple[PromptDraft, ...]:
        """Return all drafts that are not empty, the latest first."""
        require(who, PROMPTS)
        found = [draft for draft in await self._store.drafts(who.id) if await self._sees(draft.key, who)]
        return tuple([kept for draft in found if not (kept := await self._kept(draft, who)).edits.empty])

    async def steps(self, key: str, who: Principal) -> tuple[DraftStep, ...]:
        """Return the earlier states of a draft, oldest first."""
        newest, draft = await self._newest(key, who), await self._store.draft(who.id, key)
        found = [DraftStep(s.seq, _edits(key, s.content), s.at) for s in await self._store.draft_steps(who.id, key)]
        if newest or draft is None:
            return tuple(found)
        alone = [replace(step, edits=(await self._alone(key, step.edits, draft.base, who))[0]) for step in found]
        return tuple(step for step in alone if step.edits.whole is not None)  # a new prompt has nothing else

    async def discard(self, key: str, who: Principal, *, seen: SeenDraft = ANY_DRAFT) -> None:
        """Delete a draft with its steps, if there is one.

        Raises DraftConflictError if another page than those of `seen` changed it since.
        """
        await self._newest(key, who)
        await self._store.discard_draft(who.id, key, seen=seen)

    async def editors(self, key: str, who: Principal) -> tuple[str, ...]:
        """Return the ids of other users who edit the prompt now. Users who only fill in inputs do not count."""
        require(who, EDIT)
        await self._newest(key, who)
        found = await self._store.editors(key, since=self._clock() - ACTIVE_MS)
        others = [other for other in found if other != who.id][:MAX_EDITORS]
        drafts = [await self._store.draft(other, key) for other in others]
        return tuple(draft.principal for draft in drafts if draft and _edits(key, draft.content).changes_prompt)

    async def save(
        self,
        key: str,
        who: Principal,
        *,
        shown: DisplayedEdits | None = None,
        message: str = "",
        over: int | None = None,
        inputs: bool = False,
        page: str = "",
    ) -> SaveResult:
        """Save the draft as a version. Its inputs remain as a draft, or become defaults with `inputs`.

        `shown` is saved instead of the draft; a different draft from another browser is then kept. `over` applies the
        edits to that version instead of the draft's base. `page` is the id of the open page that saves.

        Raises VersionConflictError if the newest version is neither the base nor `over`, and UserError for an invalid
        prompt. The draft is kept in both cases.
        """
        require(who, SAVE)
        kept, alone = await self._mine(key, who, shown)
        base = kept.base if over is None else over
        data = await self._applied(kept, base, who, inputs=inputs)
        typed = kept.edits.whole
        saved = await self._studio.save(key, data, who, base=base, message=message, source="ui", typed=typed)
        rest = Edits() if inputs else kept.edits.inputs
        if not alone:
            return saved
        if rest.empty or who.opt_out:
            await self._store.discard_draft(who.id, key)
        else:
            await self._store.save_draft(
                who.id, key, rest.dump(), base=saved.version, at=self._clock(), seen=SeenDraft(None, (page,))
            )
        return saved

    async def diff(self, key: str, number: int, who: Principal, *, shown: DisplayedEdits | None = None) -> PromptDiff:
        """Compare version `number` with the result of saving the draft on it. Raises the errors of `save`."""
        require(who, SAVE)
        kept, _ = await self._mine(key, who, shown)
        theirs = await self._studio.permissions.get_version(key, number, who)
        return compare(theirs.prompt.content, await self._applied(kept, number, who))

    async def _applied(self, kept: PromptDraft, base: int, who: Principal, *, inputs: bool = False) -> dict[str, Any]:
        content = (await self._studio.permissions.get_version(kept.key, base, who)).prompt.content if base else {}
        if not content and kept.edits.whole is None:
            raise UserError("A new prompt needs its full YAML.", param="whole")
        return await asyncio.to_thread(apply_edits, kept.key, content, kept.edits, inputs=inputs)

    async def _mine(self, key: str, who: Principal, shown: DisplayedEdits | None) -> tuple[PromptDraft, bool]:
        """Return the draft to save, and whether it is the stored one."""
        kept = await self.get(key, who)
        alone = shown is None or kept is None or kept.edits == shown.edits
        if shown is not None:
            kept = PromptDraft(key, shown.edits, shown.base, self._clock())
        if kept is None or kept.edits.empty:
            raise NotFoundError(f"'{key}' has no unsaved changes.", param="key")
        return kept, alone

    async def _kept(self, draft: Draft, who: Principal) -> PromptDraft:
        edits, base = await self._alone(draft.key, _edits(draft.key, draft.content), draft.base, who)
        return PromptDraft(draft.key, edits, base, draft.updated_at, draft.revision, draft.page)

    async def _alone(self, key: str, edits: Edits, base: int, who: Principal) -> tuple[Edits, int]:
        """Return edits with their base, or as those of a new prompt if theirs was deleted."""
        if base and edits.changes_prompt and key not in self._version_cache.heads:
            known = await self._version_cache.get(key, base)
            if known is not None and self._studio.permissions.visibility.may_see(known, who):
                return to_full_edits(known.prompt.content, edits), 0
        return edits, base

    async def _newest(self, key: str, who: Principal) -> int:
        """Return the newest version number of a prompt, or 0 for a new one that `who` may save."""
        require(who, PROMPTS)
        try:
            await self._prompts.resolve(key, who)
        except NotFoundError:
            if key in self._version_cache.heads or SAVE not in who.rights or not allows_all(who.prompts, key):
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
        raise StoreError(f"The draft of '{key}' can't be read. It was saved by another version of Herding.") from None
