"""Files and database as equal editors of the prompts: whatever changed on one side is brought to the other.

For each prompt there is what its file holds, the version on which file and store agreed last, and the newest version.
One side that moved is followed by the other; where both moved nothing is overwritten, and somebody must decide.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from herding.errors import ConfigError, HerdingError, StoreError, UserError, VersionConflictError
from herding.prompts.library import Library, Loaded, Snapshot
from herding.prompts.model import Prompt
from herding.shelf import Edition, Head, Shelf
from herding.store.studio import StudioStore
from herding.values import FileState, NewVersion, PromptConflict, PromptState

FILE = "file"
"""The author of what was written in a file."""

WATCH_SECONDS = 1.0
LOOK_EVERY = 5
"""Every so many seconds the store is looked at too: another process may have saved."""

STUCK_SECONDS = 60.0
"""How long a file that could not be written is left alone."""

AT_ONCE = 100
"""Prompts that are brought in together: their versions share a transaction, for which other rows wait."""

FEW = 5
"""Prompts that are read one by one; what the store knows of more is read of all at once."""

Written = Literal["written", "unwritable", "shared", "conflict"]
"""What became of a prompt's file: it holds the newest version; it cannot be changed from here; it holds several prompts
and is changed by hand only; it was edited too, and somebody must decide first."""

T = TypeVar("T")

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
    if state.retired:  # deleted here, where the file could not be: it stays so until somebody edits that
        return Step.NOTHING if digest == then else Step.TAKE
    if digest == then:
        return Step.NOTHING if agreed == state.newest else Step.WRITE
    return Step.TAKE if same or agreed == state.newest else Step.CONFLICT


def _without_file(state: PromptState) -> Step:
    if state.retired:  # what is put there again is a prompt again
        return Step.RETIRE if state.file else Step.NOTHING
    if state.conflict or not state.newest:
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
        """Read again what the store knows, of all prompts or of those with these keys; the shelf knows it then too."""
        if keys is not None and len(keys) > FEW:
            keys = None
        found = await self._store.prompt_states(keys)
        self._states = found if keys is None else {**self._states, **found}
        self._shelf.update(self._states, keys)

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
        done: list[bool | BaseException] = []
        for some in in_parts(sorted(keys)):
            done += await _each([self._steps(some, seen)])
        if keys:
            await self.reload()
        if all(_checked(done)):
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

    async def _steps(self, keys: Sequence[str], seen: Snapshot) -> bool:
        """Do what is to be done for some prompts; False where that must be tried again soon."""
        steps = dict(zip(keys, _checked(await _each(self._step(key, seen) for key in keys)), strict=True))
        found = {step: [key for key in keys if steps[key] is step] for step in Step}
        taken = self._take([seen.prompts[key] for key in found[Step.TAKE]])
        kept = [self._conflict(seen.prompts[key]) for key in found[Step.CONFLICT]]
        gone = [self._retire(key) for key in found[Step.RETIRE]]
        done = await _each([taken, *kept])
        others = await _each([self.write(found[Step.WRITE]), *gone])
        _checked(others)
        return all(_checked(done))

    async def _step(self, key: str, seen: Snapshot) -> Step:
        state, loaded = self.state(key), seen.prompts.get(key)
        digest = loaded.digest if loaded else None
        moved = loaded and digest != (state.file.digest if state.file else None)
        return decide(digest, state, same=bool(loaded and moved and await self._same(loaded, state)))

    async def _same(self, loaded: Loaded, state: PromptState) -> bool:
        """Whether a file holds what the newest version is."""
        if not state.newest:
            return False
        with suppress(StoreError):
            found = await self._shelf.edition(loaded.key, state.newest)
            return found is not None and found.prompt.digest == loaded.prompt.digest
        return False

    async def _take(self, files: Sequence[Loaded]) -> bool:
        """What files hold becomes the newest versions, with the labels that they name."""
        entries = _checked(await _each(self._entry(loaded) for loaded in files))
        done = True
        for loaded, saved in zip(files, await self._store.save_versions(entries), strict=True):
            if isinstance(saved, VersionConflictError):  # another process saved at this moment
                done = False
            elif isinstance(saved, HerdingError):
                raise saved
            else:
                self._shelf.put(Edition(loaded.key, saved.number, loaded.prompt, loaded.notes))
        return done

    async def _entry(self, loaded: Loaded) -> NewVersion:
        """The version that a file makes."""
        key, state, now = loaded.key, self.state(loaded.key), self._clock()
        content = await self.content(key, loaded.prompt, state.newest, same=await self._same(loaded, state))
        named: Any = {"base": state.newest, "label": loaded.prompt.said_label, "file": self._agreed(loaded, 0)}
        return NewVersion(key, content, FILE, "", "file", now, **named)

    async def content(self, key: str, prompt: Prompt, newest: int, *, same: bool) -> str:
        """What is stored of a prompt: where it is the `same` as version `newest`, to the letter what that holds."""
        stored = await self._store.version(key, newest) if same else None
        return stored.content if stored else prompt.stored

    async def _conflict(self, loaded: Loaded) -> bool:
        """What a file holds is kept as a version, and nothing is overwritten."""
        state = self.state(loaded.key)
        ours = state.conflict.ours if state.conflict else state.newest
        base = state.conflict.base if state.conflict else state.file.number if state.file else 0
        found = PromptConflict(loaded.key, base, ours, state.newest + 1, loaded.digest, self._clock())
        message = f"The file was edited while version {ours} was saved."
        try:
            saved = await self._store.save_conflict(found, loaded.prompt.stored, author=FILE, message=message)
        except VersionConflictError:  # another process saved at this moment
            return False
        self._shelf.put(Edition(loaded.key, saved.number, loaded.prompt, loaded.notes))
        log.warning("Prompt %s: both its file and version %s changed; choose one of them", loaded.key, ours)
        return True

    async def _retire(self, key: str) -> None:
        """A prompt whose file is gone is deleted; a file that only cannot be read leaves it as it is."""
        state = self.state(key)
        if self._library.misses(key, state.file.file if state.file else ""):
            await self._store.retire(key, author=FILE, at=self._clock())
            await self._store.disagree(key)

    def _agreed(self, loaded: Loaded, number: int) -> FileState:
        return FileState(loaded.key, number, loaded.digest, self._clock(), self._library.place(loaded))

    async def keep(self, key: str, number: int) -> None:
        """End a conflict: the file holds version `number`, and is written next."""
        state = self.state(key)
        if state.conflict:
            digest, file = state.conflict.digest, state.file.file if state.file else ""
            await self._store.agree(key, number=number, digest=digest, at=self._clock(), file=file)

    async def text(self, key: str, number: int) -> str | None:
        """The text of a prompt's file without its label, where the file holds this version."""
        file = self.state(key).file
        if file is None or file.number != number:
            return None
        return await asyncio.to_thread(self._library.text, key, file.digest)

    async def write(
        self, keys: Sequence[str], *, again: bool = False, typed: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Written]:
        """Write the newest versions of prompts into their files, if those hold still what was agreed on.

        `typed` are those versions as somebody typed them. StoreError where a version cannot be read; the others are
        written.
        """
        told = {key: self._told(key, again=again) for key in keys}
        wanted = [(key, self.state(key).newest) for key in keys if not told[key]]
        found = await _each(self._shelf.edition(*one) for one in wanted)
        editions = [edition for edition in found if isinstance(edition, Edition)]
        files = await asyncio.to_thread(lambda: [self._filed(edition, typed) for edition in editions])
        agreed: list[FileState] = []
        for edition, file in zip(editions, files, strict=True):
            told[edition.key] = self._written(edition, file)
            if isinstance(file, Loaded):
                agreed.append(self._agreed(file, edition.number))
        await self._store.agree_all(agreed)
        _checked(found)
        return {key: written or "unwritable" for key, written in told.items()}

    def _filed(self, edition: Edition, typed: Mapping[str, str]) -> Loaded | HerdingError:
        """The file that a version was written into, or why it was not."""
        key, state = edition.key, self.state(edition.key)
        try:
            return self._library.save(key, edition.prompt.content | _label(state), _only(state), typed.get(key))
        except (_MovedError, ConfigError, UserError) as error:
            return error

    def _written(self, edition: Edition, file: Loaded | HerdingError) -> Written:
        """What became of a file, which is remembered."""
        if isinstance(file, Loaded):
            self._stuck.pop(edition.key, None)
            self._shelf.put(replace(edition, notes=file.notes))
            return "written"
        if isinstance(file, _MovedError):  # it was edited at this moment: the next look finds that out
            self._seen = None
            return "conflict"
        log.warning("The file of prompt %s stays as it is: %s", edition.key, file)
        return self._left(edition.key, self.state(edition.key), "unwritable")

    def _told(self, key: str, *, again: bool) -> Written | None:
        """How a prompt's file must be left; None where it is to be written."""
        state, told = self.state(key), self._stuck.get(key)
        if state.conflict:
            return "conflict"
        if told and not again and told.number == state.newest and self._since() - told.at < STUCK_SECONDS:
            return told.written
        loaded = self._library.snapshot.prompts.get(key)
        return self._left(key, state, "shared") if loaded and loaded.shared else None

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


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, so many as go together."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


async def _each(steps: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """What each of them gives or raises; none hinders another."""
    return await asyncio.gather(*steps, return_exceptions=True)


def _checked(results: Iterable[T | BaseException]) -> list[T]:
    """The results; the first error of them is raised."""
    found: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        found.append(result)
    return found
