"""Synchronizes the prompt files with the database: a change on one side is brought to the other.

Each prompt has a file, a newest version in the store, and a record of the last version that was the same in both. If
both sides changed since, nothing is overwritten: that is a conflict for a user to resolve.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import TypeVar

from herding.errors import HerdingError, StoreError, VersionConflictError
from herding.prompts.library import Library, Snapshot
from herding.prompts.model import Prompt
from herding.prompts.prompt_file import LoadedPrompt
from herding.store.prompts.store import PromptStore
from herding.studio.file_writer import FileWriter, SyncState, gather_all, raise_first_error
from herding.studio.version_cache import RunnableVersion, VersionCache
from herding.values import FileState, NewVersion, PromptConflict, PromptState

FILE = "file"
"""The author of versions that come from files."""

WATCH_SECONDS = 1.0
STORE_CHECK_SECONDS = 5
"""Interval for finding versions that another process saved."""

MAX_SINGLE_READS = 5
"""Number of prompts whose state is read by key. For more, all states are read at once."""

BATCH = 100
"""Maximum number of prompts in one transaction, so that other writes need not wait long."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class SyncStep(Enum):
    """The work that a prompt needs."""

    NOTHING = auto()
    IMPORT = auto()  # save the file as the newest version
    WRITE = auto()  # write the newest version into the file
    CONFLICT = auto()
    DELETE = auto()


def next_step(
    digest: str | None, state: PromptState, *, same: bool = False, foreign: bool = False, deployed: bool = False
) -> SyncStep:
    """Return the step for a prompt whose file has this digest (None: no file).

    `same` is true if the file holds the newest version, `foreign` if a conflict is one of another app's directory,
    and `deployed` if the file came with a new directory, and the newest version with another one.
    """
    if digest is None:
        return _step_without_file(state)
    synced, synced_digest = (state.file.number, state.file.digest) if state.file else (0, None)
    if state.conflict:
        if digest == state.conflict.digest or (foreign and digest == synced_digest):
            return SyncStep.NOTHING
        return SyncStep.IMPORT if same else SyncStep.CONFLICT
    if state.retired:  # deleted in the store only: it stays deleted until the file is edited
        return SyncStep.NOTHING if digest == synced_digest else SyncStep.IMPORT
    if digest == synced_digest:
        return SyncStep.NOTHING if synced == state.newest else SyncStep.WRITE
    return SyncStep.IMPORT if same or deployed or synced == state.newest else SyncStep.CONFLICT


def _step_without_file(state: PromptState) -> SyncStep:
    if state.retired:
        return SyncStep.DELETE if state.file else SyncStep.NOTHING
    if state.conflict or not state.newest:
        return SyncStep.NOTHING
    return SyncStep.DELETE if state.file and state.file.number == state.newest else SyncStep.WRITE


class Sync:
    """Keeps the prompt files, the store and the version cache in sync. Changes happen one at a time, within `lock`.

    `files` writes versions into their files, also within `lock`.
    """

    def __init__(
        self,
        *,
        library: Library,
        store: PromptStore,
        version_cache: VersionCache,
        clock: Callable[[], int],
    ) -> None:
        self._library = library
        self._store = store
        self._version_cache = version_cache
        self._clock = clock
        self._state = SyncState()
        self.files = FileWriter(
            library=library, store=store, version_cache=version_cache, clock=clock, state=self._state
        )
        self._lock = asyncio.Lock()

    def state(self, key: str) -> PromptState:
        """Return the state of a prompt in the store."""
        return self._state.get(key)

    @property
    def states(self) -> Mapping[str, PromptState]:
        """The state of every prompt in the store."""
        return self._state.prompts

    async def sync(self) -> None:
        """Bring files that were read since the last sync into the store. Raises StoreError."""
        if self._library.snapshot is not self._state.snapshot:
            async with self._lock:
                if self._library.snapshot is not self._state.snapshot:
                    await self._sync_all()

    async def refresh(self) -> None:
        """Read the files that changed, and bring them into the store. Raises StoreError."""
        await asyncio.to_thread(self._library.refresh)
        await self.sync()

    @asynccontextmanager
    async def lock(self, keys: Collection[str] | None = None) -> AsyncIterator[None]:
        """Sync everything, and prevent other changes during this context. `keys` are the prompts that it changes."""
        async with self._lock:
            await asyncio.to_thread(self._library.refresh)
            await self._sync_all()
            try:
                yield
            finally:
                await self.reload(keys)

    async def reload(self, keys: Collection[str] | None = None) -> None:
        """Read the states of all prompts, or of those with these keys, and update the version cache."""
        if keys is not None and len(keys) > MAX_SINGLE_READS:
            keys = None
        found = await self._store.prompt_states(keys)
        self._state.prompts = found if keys is None else {**self._state.prompts, **found}
        self._version_cache.update(self._state.prompts, keys)

    async def watch(self) -> None:
        """Sync every second, without end."""
        seconds, failure = 0, ""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            seconds += 1
            if seconds % STORE_CHECK_SECONDS == 0:
                self._state.invalidate()
            try:
                await self.refresh()
                failure = ""
            except HerdingError as error:
                if failure != (failure := error.message):  # else it would be logged every second
                    log.warning("sync prompts failed: %s", error)

    async def _sync_all(self) -> None:
        """Do the next step of each prompt."""
        snapshot = self._library.snapshot
        await self.reload()
        keys = [
            key for key in snapshot.prompts.keys() | self._state.prompts.keys() if not self._is_in_sync(key, snapshot)
        ]
        done: list[bool | BaseException] = []
        for batch in in_batches(sorted(keys)):
            if self._store.place_is_new:
                await self._record_copies(batch, snapshot)
            done += await gather_all([self._sync_batch(batch, snapshot)])
        if keys:
            await self.reload()
        if all(raise_first_error(done)):
            self._state.snapshot = snapshot
            self._store.place_is_new = False

    def _is_in_sync(self, key: str, snapshot: Snapshot) -> bool:
        """Return whether nothing changed, and cache the newest version if it is in a file."""
        state, loaded = self.state(key), snapshot.prompts.get(key)
        usable = loaded and state.file and not state.retired and not state.conflict
        if loaded and state.file and usable and (state.file.digest, state.file.number) == (loaded.digest, state.newest):
            self._version_cache.put(RunnableVersion(key, state.newest, loaded.prompt, loaded.notes))
            return True
        return loaded is None and next_step(None, state) is SyncStep.NOTHING

    async def _record_copies(self, keys: Sequence[str], snapshot: Snapshot) -> None:
        """Record the files of a new directory that hold some version.

        They are copies, such as those of an image or of another app, not edits: a newer version replaces them.
        """
        fresh = [
            snapshot.prompts[key]
            for key in keys
            if key in snapshot.prompts and self.state(key).newest and not self.state(key).file
        ]
        numbers = await self._store.find_versions({loaded.key: loaded.prompt.content_json for loaded in fresh})
        copies = [self.files.file_state(loaded, numbers[loaded.key]) for loaded in fresh if loaded.key in numbers]
        await self._store.record_files(copies)
        if copies:
            await self.reload()

    async def _sync_batch(self, keys: Sequence[str], snapshot: Snapshot) -> bool:
        """Do the next step of some prompts. Return False if it must be tried again."""
        found = raise_first_error(await gather_all(self._next_step(key, snapshot) for key in keys))
        steps = dict(zip(keys, found, strict=True))
        by_step = {step: [key for key in keys if steps[key] is step] for step in SyncStep}
        imports = self._import_files([snapshot.prompts[key] for key in by_step[SyncStep.IMPORT]])
        conflicts = [self._save_conflict(snapshot.prompts[key]) for key in by_step[SyncStep.CONFLICT]]
        deletions = [self._delete(key) for key in by_step[SyncStep.DELETE]]
        done = await gather_all([imports, *conflicts])
        raise_first_error(await gather_all([self.files.write(by_step[SyncStep.WRITE]), *deletions]))
        return all(raise_first_error(done))

    async def _next_step(self, key: str, snapshot: Snapshot) -> SyncStep:
        state, loaded = self.state(key), snapshot.prompts.get(key)
        digest = loaded.digest if loaded else None
        edited = loaded and digest != (state.file.digest if state.file else None)
        same = bool(loaded and edited and await self._is_same(loaded, state))
        foreign = bool(state.conflict and state.conflict.place != self._store.place)
        deployed = bool(loaded and not same and not state.file and await self._is_of_new_directory(state))
        return next_step(digest, state, same=same, foreign=foreign, deployed=deployed)

    async def _is_of_new_directory(self, state: PromptState) -> bool:
        """Return whether a new directory brings a file of a prompt whose newest version was found in a file, too."""
        if not self._store.place_is_new or not state.newest:
            return False
        newest = await self._store.version(state.key, state.newest)
        return newest is not None and newest.source == "file"

    async def _is_same(self, loaded: LoadedPrompt, state: PromptState) -> bool:
        """Return whether a file holds the newest version."""
        if not state.newest:
            return False
        with suppress(StoreError):
            found = await self._version_cache.get(loaded.key, state.newest)
            return found is not None and found.prompt.digest == loaded.prompt.digest
        return False

    async def _import_files(self, files: Sequence[LoadedPrompt]) -> bool:
        """Save files as the newest versions, with their labels. Return False if another process saved meanwhile."""
        entries = raise_first_error(await gather_all(self._new_version(loaded) for loaded in files))
        done = True
        for loaded, saved in zip(files, await self._store.save_versions(entries), strict=True):
            if isinstance(saved, VersionConflictError):  # another process saved meanwhile
                done = False
            elif isinstance(saved, HerdingError):
                raise saved
            else:
                self._version_cache.put(RunnableVersion(loaded.key, saved.number, loaded.prompt, loaded.notes))
        return done

    async def _new_version(self, loaded: LoadedPrompt) -> NewVersion:
        """Return the version to save for a file."""
        key, state = loaded.key, self.state(loaded.key)
        content = await self.content(key, loaded.prompt, state.newest, same=await self._is_same(loaded, state))
        return NewVersion(
            key,
            content,
            author=FILE,
            message="",
            source="file",
            at=self._clock(),
            base=state.newest,
            label=loaded.prompt.file_label,
            file=self.files.file_state(loaded, 0),
        )

    async def content(self, key: str, prompt: Prompt, newest: int, *, same: bool) -> str:
        """Return the content to store for a prompt: that of version `newest` if the prompt is the `same`."""
        stored = await self._store.version(key, newest) if same else None
        return stored.content if stored else prompt.content_json

    async def _save_conflict(self, loaded: LoadedPrompt) -> bool:
        """Save a file as a version in conflict with the newest one, and overwrite neither."""
        state = self.state(loaded.key)
        ours = state.conflict.ours if state.conflict else state.newest
        base = state.conflict.base if state.conflict else state.file.number if state.file else 0
        file = self.files.file_state(loaded, 0)
        found = PromptConflict(
            loaded.key, base, ours, state.newest + 1, loaded.digest, self._clock(), self._store.place
        )
        message = f"The file was edited while version {ours} was saved."
        try:
            saved = await self._store.save_conflict(
                found, loaded.prompt.content_json, author=FILE, message=message, file=file.file
            )
        except VersionConflictError:  # another process saved meanwhile
            return False
        self._version_cache.put(RunnableVersion(loaded.key, saved.number, loaded.prompt, loaded.notes))
        log.warning("prompt conflict (%s): file and version %s both changed", loaded.key, ours)
        return True

    async def _delete(self, key: str) -> None:
        """Delete a prompt whose file was deleted, but not one whose file cannot be read."""
        state = self.state(key)
        if self._library.is_deleted(key, state.file.file if state.file else ""):
            await self._store.retire(key, author=FILE, at=self._clock())
            await self._store.forget_file(key)

    async def resolve_conflict(self, key: str, number: int) -> None:
        """Record that the file holds version `number`, so that it can be overwritten."""
        state = self.state(key)
        if state.conflict:
            digest, file = state.conflict.digest, state.file.file if state.file else ""
            held = FileState(key, number, digest, self._clock(), file)
            await self._store.record_files([held], place=state.conflict.place)


def in_batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the items in batches of at most `BATCH`."""
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))
