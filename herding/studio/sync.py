"""Files and database as equal editors of the prompts: whatever changed on one side is brought to the other.

For each prompt there is what its file holds, the version on which file and store agreed last, and the newest version.
One side that moved is followed by the other; where both moved nothing is overwritten, and somebody must decide.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from herding.errors import HerdingError, StoreError, VersionConflictError
from herding.prompts.library import Library, Snapshot
from herding.prompts.model import Prompt
from herding.prompts.prompt_file import LoadedPrompt
from herding.store.prompt_store import PromptStore
from herding.studio.batches import checked, each, in_parts
from herding.studio.file_writer import FileWriter
from herding.studio.sync_plan import Step, decide
from herding.studio.version_cache import Edition, VersionCache
from herding.values import FileState, NewVersion, PromptConflict, PromptState

FILE = "file"
"""The author of what was written in a file."""

WATCH_SECONDS = 1.0
LOOK_EVERY = 5
"""Every so many seconds the store is looked at too: another process may have saved."""

FEW = 5
"""Prompts that are read one by one; what the store knows of more is read of all at once."""

log = logging.getLogger(__name__)


class Sync:
    """Keeps the prompt files, the store and the version_cache together; one change at a time, under `changing`.

    `files` writes versions into their files, within `changing` too.
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
        parts: Any = {"library": library, "store": store, "version_cache": version_cache, "clock": clock}
        self.files = FileWriter(**parts, state=self.state, moved=self._look_again)
        self._lock = asyncio.Lock()
        self._seen: Snapshot | None = None
        self._states: Mapping[str, PromptState] = {}

    def state(self, key: str) -> PromptState:
        """What the store knows of a prompt."""
        return self._states.get(key) or PromptState(key)

    @property
    def states(self) -> Mapping[str, PromptState]:
        """What the store knows of every prompt."""
        return self._states

    async def settle(self) -> None:
        """Bring what was read of the files since into the store. StoreError where it does not take it."""
        if self._library.snapshot is not self._seen:
            async with self._lock:
                if self._library.snapshot is not self._seen:
                    await self._settle()

    async def look(self) -> None:
        """Read the files that changed, and bring them into the store."""
        await asyncio.to_thread(self._library.refresh)
        await self.settle()

    @asynccontextmanager
    async def changing(self, keys: Collection[str] | None = None) -> AsyncIterator[None]:
        """For a change of prompts: all is together when the block begins, and nobody else changes anything in it.

        `keys` are the prompts that it changes, where that is known.
        """
        async with self._lock:
            await asyncio.to_thread(self._library.refresh)
            await self._settle()
            try:
                yield
            finally:
                await self.reload(keys)

    async def reload(self, keys: Collection[str] | None = None) -> None:
        """Read again what the store knows, of all prompts or of those with these keys, into the version cache too."""
        if keys is not None and len(keys) > FEW:
            keys = None
        found = await self._store.prompt_states(keys)
        self._states = found if keys is None else {**self._states, **found}
        self._version_cache.update(self._states, keys)

    async def watch(self) -> None:
        """Runs as long as the app: an edit of a file is a version within two seconds."""
        seconds = 0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            seconds += 1
            if seconds % LOOK_EVERY == 0:
                self._look_again()
            try:
                await self.look()
            except HerdingError as error:
                log.warning("Prompt files wait for the database: %s", error)

    def _look_again(self) -> None:
        """The next look compares everything once more."""
        self._seen = None

    async def _settle(self) -> None:
        """One step for each prompt that needs one."""
        seen = self._library.snapshot
        await self.reload()
        keys = [key for key in seen.prompts.keys() | self._states.keys() if not self._is_together(key, seen)]
        done: list[bool | BaseException] = []
        for some in in_parts(sorted(keys)):
            done += await each([self._steps(some, seen)])
        if keys:
            await self.reload()
        if all(checked(done)):
            self._seen = seen

    def _is_together(self, key: str, seen: Snapshot) -> bool:
        """Whether nothing changed; what a file was read to is the newest version then."""
        state, loaded = self.state(key), seen.prompts.get(key)
        if loaded and state.file and not state.retired and not state.conflict:
            agreed = (state.file.digest, state.file.number)
            if agreed == (loaded.digest, state.newest):
                self._version_cache.put(Edition(key, state.newest, loaded.prompt, loaded.notes))
                return True
        return loaded is None and decide(None, state) is Step.NOTHING

    async def _steps(self, keys: Sequence[str], seen: Snapshot) -> bool:
        """Do what is to be done for some prompts; False where that must be tried again soon."""
        steps = dict(zip(keys, checked(await each(self._step(key, seen) for key in keys)), strict=True))
        found = {step: [key for key in keys if steps[key] is step] for step in Step}
        taken = self._take([seen.prompts[key] for key in found[Step.TAKE]])
        kept = [self._conflict(seen.prompts[key]) for key in found[Step.CONFLICT]]
        gone = [self._retire(key) for key in found[Step.RETIRE]]
        done = await each([taken, *kept])
        others = await each([self.files.write(found[Step.WRITE]), *gone])
        checked(others)
        return all(checked(done))

    async def _step(self, key: str, seen: Snapshot) -> Step:
        state, loaded = self.state(key), seen.prompts.get(key)
        digest = loaded.digest if loaded else None
        moved = loaded and digest != (state.file.digest if state.file else None)
        return decide(digest, state, same=bool(loaded and moved and await self._same(loaded, state)))

    async def _same(self, loaded: LoadedPrompt, state: PromptState) -> bool:
        """Whether a file holds what the newest version is."""
        if not state.newest:
            return False
        with suppress(StoreError):
            found = await self._version_cache.edition(loaded.key, state.newest)
            return found is not None and found.prompt.digest == loaded.prompt.digest
        return False

    async def _take(self, files: Sequence[LoadedPrompt]) -> bool:
        """What files hold becomes the newest versions, with the labels that they name."""
        entries = checked(await each(self._entry(loaded) for loaded in files))
        done = True
        for loaded, saved in zip(files, await self._store.save_versions(entries), strict=True):
            if isinstance(saved, VersionConflictError):  # another process saved at this moment
                done = False
            elif isinstance(saved, HerdingError):
                raise saved
            else:
                self._version_cache.put(Edition(loaded.key, saved.number, loaded.prompt, loaded.notes))
        return done

    async def _entry(self, loaded: LoadedPrompt) -> NewVersion:
        """The version that a file makes."""
        key, state, now = loaded.key, self.state(loaded.key), self._clock()
        content = await self.content(key, loaded.prompt, state.newest, same=await self._same(loaded, state))
        named: Any = {"base": state.newest, "label": loaded.prompt.file_label, "file": self.files.agreed(loaded, 0)}
        return NewVersion(key, content, FILE, "", "file", now, **named)

    async def content(self, key: str, prompt: Prompt, newest: int, *, same: bool) -> str:
        """What is stored of a prompt: where it is the `same` as version `newest`, to the letter what that holds."""
        stored = await self._store.version(key, newest) if same else None
        return stored.content if stored else prompt.content_json

    async def _conflict(self, loaded: LoadedPrompt) -> bool:
        """What a file holds is kept as a version, and nothing is overwritten."""
        state = self.state(loaded.key)
        ours = state.conflict.ours if state.conflict else state.newest
        base = state.conflict.base if state.conflict else state.file.number if state.file else 0
        found = PromptConflict(loaded.key, base, ours, state.newest + 1, loaded.digest, self._clock())
        message = f"The file was edited while version {ours} was saved."
        try:
            saved = await self._store.save_conflict(found, loaded.prompt.content_json, author=FILE, message=message)
        except VersionConflictError:  # another process saved at this moment
            return False
        self._version_cache.put(Edition(loaded.key, saved.number, loaded.prompt, loaded.notes))
        log.warning("Prompt %s: both its file and version %s changed; choose one of them", loaded.key, ours)
        return True

    async def _retire(self, key: str) -> None:
        """A prompt whose file is gone is deleted; a file that only cannot be read leaves it as it is."""
        state = self.state(key)
        if self._library.is_deleted(key, state.file.file if state.file else ""):
            await self._store.retire(key, author=FILE, at=self._clock())
            await self._store.forget_file(key)

    async def keep(self, key: str, number: int) -> None:
        """End a conflict: the file holds version `number`, and is written next."""
        state = self.state(key)
        if state.conflict:
            digest, file = state.conflict.digest, state.file.file if state.file else ""
            await self._store.record_files([FileState(key, number, digest, self._clock(), file)])
