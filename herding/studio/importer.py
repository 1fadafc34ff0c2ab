"""Saves prompts, also many at once. Each is checked, saved and written by itself, and may fail by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from herding.access.roles import allows_all
from herding.errors import AccessError, ConflictError, HerdingError, UserError
from herding.prompts.library import Library
from herding.prompts.model import Prompt
from herding.prompts.prompt_file import LoadedPrompt
from herding.prompts.steps import Step, find_fault
from herding.store.prompts.store import PromptStore
from herding.studio.file_writer import FileStatus
from herding.studio.permissions import PromptPermissions
from herding.studio.sync import Sync
from herding.studio.version_cache import NEWEST, RunnableVersion, VersionCache
from herding.values import NewVersion, Principal, PromptVersion, Source


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """A prompt to save, with `data` as in a prompt file.

    `expected` are the accepted numbers of the newest version (None: any). `base` is the version it is based on (0: a
    new prompt, None: the newest). `typed` is the YAML that the author typed, if any.
    """

    key: str
    data: Mapping[str, Any]
    expected: Collection[int] | None = None
    base: int | None = None
    message: str = ""
    source: Source = "ui"
    typed: str | None = None


@dataclass(frozen=True, slots=True)
class SaveResult:
    """The result of saving a prompt. `changed` is false if version and label were the same before.

    The version is saved whatever the status of its `file` is.
    """

    key: str
    version: int
    new: bool
    changed: bool
    file: FileStatus = "written"


@dataclass(frozen=True, slots=True)
class _Entry:
    """A validated prompt, the version before it, and the version to save."""

    prompt: Prompt
    old: RunnableVersion | None
    version: NewVersion
    typed: str | None


class Importer:
    """Saves prompts for a principal with the right to save. `permissions` decides which prompts they may save."""

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

    async def save(self, requests: Sequence[SaveRequest], who: Principal) -> list[SaveResult | HerdingError]:
        """Save prompts of different keys, within `Sync.lock`. Return the result or the error of each."""
        results: dict[str, SaveResult | HerdingError] = {}
        previous: dict[str, RunnableVersion | None] = {}
        for request in requests:
            try:
                previous[request.key] = await self._previous(request, who)
            except HerdingError as error:
                results[request.key] = error
        valid = [request for request in requests if request.key in previous]
        entries: list[_Entry] = []
        aliases: dict[str, str] = {}
        read = await self._read(valid, who)
        batch = {found.key: found.prompt for found in read if not isinstance(found, HerdingError)}
        for request, found in zip(valid, read, strict=True):
            key, old = request.key, previous[request.key]
            try:
                if isinstance(found, HerdingError):
                    raise found
                await self._permissions.check_changes(key, found.prompt, old, who)
                if found.prompt.steps:
                    await self._check_steps(found, batch, who)
                _claim_alias(aliases, found)
            except HerdingError as error:
                results[key] = error
            else:
                entries.append(await self._entry(request, found.prompt, old, who))
        results |= await self._save_entries(entries)
        return [results[request.key] for request in requests]

    async def _previous(self, request: SaveRequest, who: Principal) -> RunnableVersion | None:
        """Return the version that the prompt replaces. Raises AccessError, or ConflictError for another version."""
        if not allows_all(who.prompts, request.key):
            fitting = ", ".join(who.prompts) or "none"
            raise AccessError(f"The role '{who.role}' can save only these prompts: {fitting}.", param="key")
        old = await self._version_cache.newest(request.key)
        await self._permissions.check_overwrite(request.key, old, who)
        check_version(request.key, old, request.expected)
        return old

    async def _read(self, requests: Sequence[SaveRequest], who: Principal) -> list[LoadedPrompt | HerdingError]:
        pairs = [(request.key, request.data) for request in requests]
        return await asyncio.to_thread(
            self._library.check_all, pairs, lambda found: self._permissions.check_content(found.prompt, who)
        )

    async def _check_steps(self, found: LoadedPrompt, batch: Mapping[str, Prompt], who: Principal) -> None:
        """Raise UserError for a chain that can't run, also because of another prompt that is saved with it."""
        steps_of: dict[str, Sequence[Step]] = {}
        left = [(found.key, found.prompt)]
        while left:
            key, prompt = left.pop()
            steps_of[key] = prompt.steps or ()
            for step in steps_of[key]:
                if step.key in steps_of:
                    continue
                if step.key in batch:
                    left.append((step.key, batch[step.key]))
                elif await self._permissions.can_see(step.key, who):
                    left.append((step.key, (await self._version_cache.resolve(step.prompt)).prompt))
        if fault := find_fault(found.key, steps_of):
            raise UserError(f"The prompt has an error: {fault}.", param="steps")

    async def _entry(self, request: SaveRequest, prompt: Prompt, old: RunnableVersion | None, who: Principal) -> _Entry:
        number = old.number if old else 0
        same = old is not None and old.prompt.digest == prompt.digest
        content = await self._sync.content(request.key, prompt, number, same=same)
        base = number if request.base is None else request.base
        label = prompt.file_label
        version = NewVersion(request.key, content, who.id, request.message, request.source, self._clock(), base, label)
        return _Entry(prompt, old, version, request.typed)

    async def _save_entries(self, entries: Sequence[_Entry]) -> dict[str, SaveResult | HerdingError]:
        """Save versions with their labels, then their files. The next sync repeats what fails in between."""
        results: dict[str, SaveResult | HerdingError] = {}
        versions = await self._store.save_versions([entry.version for entry in entries])
        for entry, version in zip(entries, versions, strict=True):
            key = entry.version.key
            if isinstance(version, HerdingError):
                results[key] = version
            else:
                self._version_cache.put(RunnableVersion(key, version.number, entry.prompt))
                results[key] = self._result(entry, version)
        await self._sync.reload({entry.version.key for entry in entries})
        saved_keys = [key for key, saved in results.items() if isinstance(saved, SaveResult)]
        typed = {entry.version.key: entry.typed for entry in entries if entry.typed is not None}
        files = await self._sync.files.write(saved_keys, again=True, typed=typed)
        return {
            key: replace(saved, file=files[key]) if isinstance(saved, SaveResult) else saved
            for key, saved in results.items()
        }

    def _result(self, entry: _Entry, version: PromptVersion) -> SaveResult:
        label, key, old = entry.version.label, version.key, entry.old
        moved = label is not None and self._sync.state(key).labels.get(label) != version.number
        changed = moved or old is None or old.number != version.number
        return SaveResult(key, version.number, new=old is None, changed=changed)


def _claim_alias(aliases: dict[str, str], found: LoadedPrompt) -> None:
    """Raise ConflictError if another prompt of the same bundle has the alias."""
    if found.prompt.alias:
        path = found.prompt.alias.path
        if (other := aliases.setdefault(path, found.key)) != found.key:
            raise ConflictError(f"{path} is the alias of the prompt '{other}'. Choose another path.", param="alias")


def check_version(key: str, old: RunnableVersion | None, expected: Collection[int] | None) -> None:
    """Raise ConflictError unless the newest version is one of those that are expected."""
    if expected is None or (old and old.number in expected):
        return
    state = f"is at v{old.number} now" if old else "does not exist"
    message = f"The prompt {state}. Load '{key}@{NEWEST}' and repeat your change."
    raise ConflictError(message, param="version")
