"""Brings the newest versions of prompts into their files, where those still are what was agreed on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from herding.errors import ConfigError, HerdingError, UserError
from herding.prompts.library import Library
from herding.prompts.prompt_file import LoadedPrompt
from herding.store.prompt_store import PromptStore
from herding.studio.batches import checked, each
from herding.studio.version_cache import Edition, Head, VersionCache
from herding.values import FileState, PromptState

STUCK_SECONDS = 60.0
"""How long a file that could not be written is left alone."""

Written = Literal["written", "unwritable", "shared", "conflict"]
"""What became of a prompt's file: it holds the newest version; it cannot be changed from here; it holds several prompts
and is changed by hand only; it was edited too, and somebody must decide first."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """How a file was left by the attempt to write a version, at `at` on a clock in seconds that never goes back."""

    number: int
    at: float
    written: Written


class FileWriter:
    """Writes files, and remembers those that it could not write.

    `state` is what the store knows of a prompt; `moved` is called where a file was edited at this very moment. `since`
    is in seconds and never goes back.
    """

    def __init__(
        self,
        *,
        library: Library,
        store: PromptStore,
        version_cache: VersionCache,
        clock: Callable[[], int],
        state: Callable[[str], PromptState],
        moved: Callable[[], None],
        since: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._store = store
        self._version_cache = version_cache
        self._clock = clock
        self._state = state
        self._moved = moved
        self._since = since
        self._stuck: dict[str, Told] = {}

    async def write(
        self, keys: Sequence[str], *, again: bool = False, typed: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Written]:
        """Write the newest versions of prompts into their files, if those hold still what was agreed on.

        `typed` are those versions as somebody typed them. StoreError where a version cannot be read; the others are
        written.
        """
        told = {key: self._told(key, again=again) for key in keys}
        wanted = [(key, self._state(key).newest) for key in keys if not told[key]]
        found = await each(self._version_cache.edition(*one) for one in wanted)
        editions = [edition for edition in found if isinstance(edition, Edition)]
        files = await asyncio.to_thread(lambda: [self._filed(edition, typed) for edition in editions])
        agreed: list[FileState] = []
        for edition, file in zip(editions, files, strict=True):
            told[edition.key] = self._written(edition, file)
            if isinstance(file, LoadedPrompt):
                agreed.append(self.agreed(file, edition.number))
        await self._store.record_files(agreed)
        checked(found)
        return {key: written or "unwritable" for key, written in told.items()}

    async def text(self, key: str, number: int) -> str | None:
        """The text of a prompt's file without its label, where the file holds this version."""
        file = self._state(key).file
        if file is None or file.number != number:
            return None
        return await asyncio.to_thread(self._library.text, key, file.digest)

    def agreed(self, loaded: LoadedPrompt, number: int) -> FileState:
        """That the file of a prompt, as it was read, holds version `number`."""
        return FileState(loaded.key, number, loaded.digest, self._clock(), self._library.relative_path(loaded))

    def _filed(self, edition: Edition, typed: Mapping[str, str]) -> LoadedPrompt | HerdingError:
        """The file that a version was written into, or why it was not."""
        key, state = edition.key, self._state(edition.key)
        try:
            return self._library.save(key, edition.prompt.content | _label(state), _only(state), typed.get(key))
        except (_MovedError, ConfigError, UserError) as error:
            return error

    def _written(self, edition: Edition, file: LoadedPrompt | HerdingError) -> Written:
        """What became of a file, which is remembered."""
        if isinstance(file, LoadedPrompt):
            self._stuck.pop(edition.key, None)
            self._version_cache.put(replace(edition, notes=file.notes))
            return "written"
        if isinstance(file, _MovedError):  # it was edited at this moment: the next look finds that out
            self._moved()
            return "conflict"
        log.warning("The file of prompt %s stays as it is: %s", edition.key, file)
        return self._left(edition.key, self._state(edition.key), "unwritable")

    def _told(self, key: str, *, again: bool) -> Written | None:
        """How a prompt's file must be left; None where it is to be written."""
        state, told = self._state(key), self._stuck.get(key)
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


def _only(state: PromptState) -> Callable[[LoadedPrompt | None, LoadedPrompt | None], None]:
    """Approves of a change of the file on which it was agreed."""

    def approve(old: LoadedPrompt | None, _: LoadedPrompt | None) -> None:
        if old and (state.file is None or old.digest != state.file.digest):
            raise _MovedError("The file changed at this moment.")

    return approve


def _label(state: PromptState) -> dict[str, str]:
    """The line of a file for the label that stands for the newest version."""
    label = Head(state.newest, state.labels).label_of(state.newest)
    return {"label": label} if label else {}
