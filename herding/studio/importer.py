"""Takes prompts in, many at once: each is checked, saved and written for itself, and none hinders another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from herding.access.roles import allows
from herding.errors import AccessError, ConflictError, HerdingError
from herding.prompts.library import Library
from herding.prompts.model import Prompt
from herding.prompts.prompt_file import LoadedPrompt
from herding.store.prompt_store import PromptStore
from herding.studio.file_writer import Written
from herding.studio.permissions import PromptPermissions
from herding.studio.sync import Sync
from herding.studio.version_cache import NEWEST, Edition, VersionCache
from herding.values import NewVersion, Principal, PromptVersion, Source


@dataclass(frozen=True, slots=True)
class Wanted:
    """A prompt that is to be saved: `data` in the words of a prompt file.

    `expected` are the newest versions that it may follow, None for any; `base` is the one that it is based on, 0 for a
    new prompt, None for whatever is there. `typed` is the YAML that somebody typed, if they did.
    """

    key: str
    data: Mapping[str, Any]
    expected: Collection[int] | None = None
    base: int | None = None
    message: str = ""
    source: Source = "ui"
    typed: str | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A prompt after it was saved. `changed` is false where it was like that before.

    `file` says what became of its file; the version is kept whatever that is.
    """

    key: str
    version: int
    new: bool
    changed: bool
    file: Written = "written"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A prompt that may be saved, the version that it follows, and the one that it makes."""

    prompt: Prompt
    old: Edition | None
    version: NewVersion
    typed: str | None


class Importer:
    """Saves prompts for somebody with the right to save any; which of them they may save, `permissions` says."""

    def __init__(
        self,
        *,
        library: Library,
        store: PromptStore,
        version_cache: VersionCache,
        sync: Sync,
        clock: Callable[[], int],
        permissions: PromptPermissions,
    ) -> None:
        self._library, self._store, self._version_cache, self._sync = library, store, version_cache, sync
        self._clock, self._permissions = clock, permissions

    async def save(self, wanted: Sequence[Wanted], who: Principal) -> list[Saved | HerdingError]:
        """Save prompts of different keys, within `changing`; what becomes of each, or what is wrong with it."""
        told: dict[str, Saved | HerdingError] = {}
        olds: dict[str, Edition | None] = {}
        for one in wanted:
            try:
                olds[one.key] = await self._old(one, who)
            except HerdingError as error:
                told[one.key] = error
        left = [one for one in wanted if one.key in olds]
        entries: list[_Entry] = []
        for one, found in zip(left, await self._read(left, who), strict=True):
            if isinstance(found, HerdingError):
                told[one.key] = found
            else:
                entries.append(await self._entry(one, found.prompt, olds[one.key], who))
        told |= await self._keep(entries)
        return [told[one.key] for one in wanted]

    async def _old(self, one: Wanted, who: Principal) -> Edition | None:
        """The version that a prompt follows."""
        if not allows(who.prompts, one.key):
            fitting = ", ".join(who.prompts) or "none"
            raise AccessError(f"The role '{who.role}' may save only prompts whose keys fit: {fitting}.", param="key")
        old = await self._version_cache.newest(one.key)
        await self._permissions.check_old(one.key, old, who)
        check_version(one.key, old, one.expected)
        return old

    async def _read(self, wanted: Sequence[Wanted], who: Principal) -> list[LoadedPrompt | HerdingError]:
        pairs = [(one.key, one.data) for one in wanted]
        return await asyncio.to_thread(
            self._library.check_all, pairs, lambda found: self._permissions.check_new(found.prompt, who)
        )

    async def _entry(self, one: Wanted, prompt: Prompt, old: Edition | None, who: Principal) -> _Entry:
        number = old.number if old else 0
        same = old is not None and old.prompt.digest == prompt.digest
        content = await self._sync.content(one.key, prompt, number, same=same)
        base = number if one.base is None else one.base
        label = prompt.file_label
        version = NewVersion(one.key, content, who.id, one.message, one.source, self._clock(), base, label)
        return _Entry(prompt, old, version, one.typed)

    async def _keep(self, entries: Sequence[_Entry]) -> dict[str, Saved | HerdingError]:
        """The versions with their labels first, then their files: what fails later is made up for by the next look."""
        told: dict[str, Saved | HerdingError] = {}
        kept = await self._store.save_versions([entry.version for entry in entries])
        for entry, version in zip(entries, kept, strict=True):
            key = entry.version.key
            if isinstance(version, HerdingError):
                told[key] = version
            else:
                self._version_cache.put(Edition(key, version.number, entry.prompt))
                told[key] = self._saved(entry, version)
        await self._sync.reload({entry.version.key for entry in entries})
        wanted = [key for key, saved in told.items() if isinstance(saved, Saved)]
        typed = {entry.version.key: entry.typed for entry in entries if entry.typed is not None}
        files = await self._sync.files.write(wanted, again=True, typed=typed)
        return {
            key: replace(saved, file=files[key]) if isinstance(saved, Saved) else saved for key, saved in told.items()
        }

    def _saved(self, entry: _Entry, version: PromptVersion) -> Saved:
        label, key, old = entry.version.label, version.key, entry.old
        moved = label is not None and self._sync.state(key).labels.get(label) != version.number
        changed = moved or old is None or old.number != version.number
        return Saved(key, version.number, new=old is None, changed=changed)


def check_version(key: str, old: Edition | None, expected: Collection[int] | None) -> None:
    """ConflictError where the newest version is none of those that are expected."""
    if expected is None or (old and old.number in expected):
        return
    state = f"at version {old.number}" if old else "not there"
    message = f"The prompt is {state}. Load '{key}@{NEWEST}', and repeat your change on it."
    raise ConflictError(message, param="version")
