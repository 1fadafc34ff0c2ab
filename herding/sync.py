"""Files and database as equal editors of the prompts: whatever changed on one side is brought to the other.

For each prompt there is what its file holds, the version on which file and store agreed last, and the newest version.
One side that moved is followed by the other; where both moved nothing is overwritten, and somebody must decide.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any, Literal

from herding.errors import ConfigError, HerdingError, StoreError, UserError, VersionConflictError
from herding.prompts.library import Library, Loaded, Snapshot
from herding.shelf import Edition, Head, Shelf
from herding.store.studio import StudioStore
from herding.values import PromptConflict, PromptState

FILE = "file"
"""The author of what was written in a file."""

WATCH_SECONDS = 1.0
LOOK_EVERY = 5
"""Every so many seconds the store is looked at too: another process may have saved."""

STUCK_SECONDS = 60.0
"""How long a file that could not be written is left alone."""

AT_ONCE = 64

Written = Literal["written", "unwritable", "shared", "conflict"]
"""What became of a prompt's file: it holds the newest version; it cannot be changed from here; it holds several prompts
and is changed by hand only; it was edited too, and somebody must decide first."""

log = logging.getLogger(__name__)


class Step(Enum):
    """What is to be done for a prompt."""

    NOTHING = auto()
    TAKE = auto()  # what the file holds is the newest version
    WRITE = auto()  # the newest version goes into the file
    CONFLICT = auto()
    RETIRE = auto()


def decide(digest: str | None, state: PromptState, *, same: bool = False) -> Step:
    """The step for a prompt whose file has this digest (None: there is no file).

    `same` says whether the file holds what the newest version is.
    """
    if digest is None:
        return _without_file(state)
    if state.conflict:
        if digest == state.conflict.digest:
            return Step.NOTHING
        return Step.TAKE if same else Step.CONFLICT
    agreed, then = (state.file.number, state.file.digest) if state.file else (0, None)
    if state.retired:
        return Step.TAKE
    if digest == then:
        return Step.NOTHING if agreed == state.newest else Step.WRITE
    return Step.TAKE if same or agreed == state.newest else Step.CONFLICT


def _without_file(state: PromptState) -> Step:
    if state.retired or state.conflict or not state.newest:
        return Step.NOTHING
    return Step.RETIRE if state.file and state.file.number == state.newest else Step.WRITE


@dataclass(frozen=True, slots=True)
class Told:
    """How a file was left by an attempt to write it."""

    number: int
    at: float
    written: Written


class Sync:
    """Keeps the prompt files, the store and the shelf together; one change at a time, under `changing`."""

    def __init__(
        self,
        *,
        library: Library,
        store: StudioStore,
        shelf: Shelf,
        clock: Callable[[], int],
        since: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._store = store
        self._shelf = shelf
        self._clock = clock
        self._since = since
        self._lock = asyncio.Lock()
        self._seen: Snapshot | None = None
        self._stuck: dict[str, Told] = {}
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
    async def changing(self) -> AsyncIterator[None]:
        """For a change of prompts: all is together when the block begins, and nobody else changes anything in it."""
        async with self._lock:
            await asyncio.to_thread(self._library.refresh)
            await self._settle()
            try:
                yield
            finally:
                await self.reload()

    async def reload(self) -> None:
        """Read again what the store knows; the shelf knows it then too."""
        self._states = await self._store.prompt_states()
        self._shelf.update(self._states)

    async def watch(self) -> None:
        """Runs as long as the app: an edit of a file is a version within two seconds."""
        seconds = 0
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            seconds += 1
            if seconds % LOOK_EVERY == 0:
                self._seen = None
            try:
                await self.look()
            except HerdingError as error:
                log.warning("Prompt files wait for the database: %s", error)

    async def _settle(self) -> None:
        """One step for each prompt that needs one."""
        seen = self._library.snapshot
        await self.reload()
        keys = [key for key in seen.prompts.keys() | self._states.keys() if not self._is_together(key, seen)]
        done = await _in_turns(self._step(key, seen) for key in sorted(keys))
        if keys:
            await self.reload()
        if all(done):
            self._seen = seen

    def _is_together(self, key: str, seen: Snapshot) -> bool:
        """Whether nothing changed; what a file was read to is the newest version then."""
        state, loaded = self.state(key), seen.prompts.get(key)
        if loaded and state.file and not state.retired and not state.conflict:
            agreed = (state.file.digest, state.file.number)
            if agreed == (loaded.digest, state.newest):
                self._shelf.put(Edition(key, state.newest, loaded.prompt, loaded.notes))
                return True
        return loaded is None and decide(None, state) is Step.NOTHING

    async def _step(self, key: str, seen: Snapshot) -> bool:
        """Do what is to be done for a prompt; False where it must be tried again soon."""
        state, loaded = self.state(key), seen.prompts.get(key)
        digest = loaded.digest if loaded else None
        moved = loaded and digest != (state.file.digest if state.file else None)
        step = decide(digest, state, same=bool(loaded and moved and await self._same(loaded, state)))
        try:
            if step is Step.TAKE and loaded:
                await self._take(loaded, state)
            elif step is Step.CONFLICT and loaded:
                await self._conflict(loaded, state)
            elif step is Step.WRITE:
                await self.write(key, state)
            elif step is Step.RETIRE:
                return await self._retire(key, state)
        except VersionConflictError:  # another process saved at this moment
            return False
        return True

    async def _same(self, loaded: Loaded, state: PromptState) -> bool:
        """Whether a file holds what the newest version is."""
        if not state.newest:
            return False
        with suppress(StoreError):
            found = await self._shelf.edition(loaded.key, state.newest)
            return found is not None and found.prompt.digest == loaded.prompt.digest
        return False

    async def _take(self, loaded: Loaded, state: PromptState) -> None:
        """What a file holds becomes the newest version, with the label that it names."""
        key, content = loaded.key, loaded.prompt.stored
        if state.newest and await self._same(loaded, state):
            stored = await self._store.version(key, state.newest)
            content = stored.content if stored else content
        now = self._clock()
        entry: Any = {"author": FILE, "message": "", "at": now}
        saved = await self._store.save_version(key, content, source="file", base=state.newest, **entry)
        if label := loaded.prompt.said_label:
            await self._store.move_label(key, label, saved.number, **entry)
        self._shelf.put(Edition(key, saved.number, loaded.prompt, loaded.notes))
        await self._agree(loaded, saved.number)

    async def _conflict(self, loaded: Loaded, state: PromptState) -> None:
        """What a file holds is kept as a version, and nothing is overwritten."""
        ours = state.conflict.ours if state.conflict else state.newest
        base = state.conflict.base if state.conflict else state.file.number if state.file else 0
        found = PromptConflict(loaded.key, base, ours, state.newest + 1, loaded.digest, self._clock())
        message = f"The file was edited while version {ours} was saved."
        saved = await self._store.save_conflict(found, loaded.prompt.stored, author=FILE, message=message)
        self._shelf.put(Edition(loaded.key, saved.number, loaded.prompt, loaded.notes))
        log.warning("Prompt %s: both its file and version %s changed; choose one of them", loaded.key, ours)

    async def _retire(self, key: str, state: PromptState) -> bool:
        """A prompt whose file is gone is deleted; a file that only cannot be read leaves it as it is."""
        if self._library.misses(key, state.file.file if state.file else ""):
            await self._store.retire(key, author=FILE, at=self._clock())
            await self._store.disagree(key)
        return True

    async def _agree(self, loaded: Loaded, number: int) -> None:
        file = self._library.place(loaded)
        await self._store.agree(loaded.key, number=number, digest=loaded.digest, at=self._clock(), file=file)

    async def keep(self, key: str, number: int) -> None:
        """End a conflict: the file holds version `number`, and is written next."""
        state = self.state(key)
        if state.conflict:
            digest, file = state.conflict.digest, state.file.file if state.file else ""
            await self._store.agree(key, number=number, digest=digest, at=self._clock(), file=file)

    async def write(self, key: str, state: PromptState, *, again: bool = False) -> Written:
        """Write the newest version of a prompt into its file, if that holds still what was agreed on."""
        if state.conflict:
            return "conflict"
        told = self._stuck.get(key)
        if told and not again and told.number == state.newest and self._since() - told.at < STUCK_SECONDS:
            return told.written
        loaded = self._library.snapshot.prompts.get(key)
        if loaded and loaded.shared:
            return self._left(key, state, "shared")
        edition = await self._shelf.edition(key, state.newest)
        if edition is None:
            return "unwritable"
        data = edition.prompt.content | _label(state)
        try:
            made = await asyncio.to_thread(self._library.save, key, data, _only(state))
        except _MovedError:  # it was edited at this moment: the next look finds that out
            self._seen = None
            return "conflict"
        except (ConfigError, UserError) as error:
            log.warning("The file of prompt %s stays as it is: %s", key, error)
            return self._left(key, state, "unwritable")
        self._stuck.pop(key, None)
        self._shelf.put(replace(edition, notes=made.notes))
        await self._agree(made, state.newest)
        return "written"

    def _left(self, key: str, state: PromptState, written: Written) -> Written:
        self._stuck[key] = Told(state.newest, self._since(), written)
        return written


class _MovedError(HerdingError):
    """A file is not any more what it was when it was decided to write it."""


def _only(state: PromptState) -> Callable[[Loaded | None, Loaded | None], None]:
    """Approves of a change of the file on which it was agreed."""

    def approve(old: Loaded | None, _: Loaded | None) -> None:
        if old and (state.file is None or old.digest != state.file.digest):
            raise _MovedError("The file changed at this moment.")

    return approve


def _label(state: PromptState) -> dict[str, str]:
    """The line of a file for the label that stands for the newest version."""
    label = Head(state.newest, state.labels).label_of(state.newest)
    return {"label": label} if label else {}


async def _in_turns(steps: Iterable[Awaitable[bool]]) -> list[bool]:
    """All of them, some at once."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(step: Awaitable[bool]) -> bool:
        async with gate:
            return await step

    done = await asyncio.gather(*(one(step) for step in steps), return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return [result is True for result in done]
