"""Writes the newest versions of prompts into their files, unless those were edited meanwhile."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeVar

from herding.errors import ConfigError, HerdingError, UserError
from herding.prompts.library import Library, Snapshot
from herding.prompts.prompt_file import LoadedPrompt
from herding.store.prompts.store import PromptStore
from herding.studio.version_cache import Head, RunnableVersion, VersionCache
from herding.values import FileState, PromptState

RETRY_SECONDS = 60.0
"""Seconds until a file that could not be written is tried again."""

FileStatus = Literal["written", "unwritable", "shared", "conflict"]
"""The state of a prompt's file: it holds the newest version, it cannot be written, it holds several prompts and must be
edited by hand, or it was edited too and the conflict must be resolved first."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _FailedWrite:
    """The attempt to write version `number` into a file, at `at` in monotonic seconds."""

    number: int
    at: float
    status: FileStatus


class SyncState:
    """The prompts as the store knows them, and the snapshot of the files that is in sync with it, if any."""

    def __init__(self) -> None:
        self.prompts: Mapping[str, PromptState] = {}
        self.snapshot: Snapshot | None = None

    def get(self, key: str) -> PromptState:
        """Return the state of a prompt in the store."""
        return self.prompts.get(key) or PromptState(key)

    def invalidate(self) -> None:
        """Compare all files with the store again at the next sync."""
        self.snapshot = None


class FileWriter:
    """Writes prompt files, and remembers those that it could not write."""

    def __init__(
        self,
        *,
        library: Library,
        store: PromptStore,
        version_cache: VersionCache,
        clock: Callable[[], int],
        state: SyncState,
    ) -> None:
        self._library = library
        self._store = store
        self._version_cache = version_cache
        self._clock = clock
        self._state = state
        self._failed: dict[str, _FailedWrite] = {}

    async def write(
        self, keys: Sequence[str], *, again: bool = False, typed: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, FileStatus]:
        """Write the newest versions of prompts into their files, unless the files were edited since the last sync.

        `typed` are the versions as their author typed them. `again` retries files that could not be written lately.
        Raises StoreError if a version cannot be read, after the others are written.
        """
        statuses = {key: self._skip_status(key, again=again) for key in keys}
        numbers = [(key, self._state.get(key).newest) for key in keys if not statuses[key]]
        found = await gather_all(self._version_cache.get(*pair) for pair in numbers)
        editions = [edition for edition in found if isinstance(edition, RunnableVersion)]
        files = await asyncio.to_thread(lambda: [self._save_file(edition, typed) for edition in editions])
        in_sync: list[FileState] = []
        for edition, file in zip(editions, files, strict=True):
            statuses[edition.key] = self._record(edition, file)
            if isinstance(file, LoadedPrompt):
                in_sync.append(self.file_state(file, edition.number))
        await self._store.record_files(in_sync)
        raise_first_error(found)
        return {key: status or "unwritable" for key, status in statuses.items()}

    async def text(self, key: str, number: int) -> str | None:
        """Return the text of a prompt's file without its label, or None if the file holds another version."""
        file = self._state.get(key).file
        if file is None or file.number != number:
            return None
        return await asyncio.to_thread(self._library.text, key, file.digest)

    def file_state(self, loaded: LoadedPrompt, number: int) -> FileState:
        """Return the record that the file of a prompt holds version `number`."""
        return FileState(loaded.key, number, loaded.digest, self._clock(), self._library.relative_path(loaded))

    def _save_file(self, edition: RunnableVersion, typed: Mapping[str, str]) -> LoadedPrompt | HerdingError:
        """Return the file that a version was written into, or the error."""
        key, state = edition.key, self._state.get(edition.key)
        try:
            return self._library.save(
                key, edition.prompt.content | _label(state), _refuse_edited(state), typed.get(key)
            )
        except (_FileEditedError, ConfigError, UserError) as error:
            return error

    def _record(self, edition: RunnableVersion, file: LoadedPrompt | HerdingError) -> FileStatus:
        """Record the result of writing a file, and return its status."""
        if isinstance(file, LoadedPrompt):
            self._failed.pop(edition.key, None)
            self._version_cache.put(replace(edition, notes=file.notes))
            return "written"
        if isinstance(file, _FileEditedError):  # the next sync finds the conflict
            self._state.invalidate()
            return "conflict"
        log.warning("write prompt file failed (%s): %s", edition.key, file)
        return self._fail(edition.key, self._state.get(edition.key), "unwritable")

    def _skip_status(self, key: str, *, again: bool) -> FileStatus | None:
        """Return the status of a file that must not be written now, or None."""
        state, failed = self._state.get(key), self._failed.get(key)
        if state.conflict:
            return "conflict"
        if failed and not again and failed.number == state.newest and time.monotonic() - failed.at < RETRY_SECONDS:
            return failed.status
        loaded = self._library.snapshot.prompts.get(key)
        return self._fail(key, state, "shared") if loaded and loaded.shared else None

    def _fail(self, key: str, state: PromptState, status: FileStatus) -> FileStatus:
        self._failed[key] = _FailedWrite(state.newest, time.monotonic(), status)
        return status


class _FileEditedError(HerdingError):
    """A file was edited since it was last read."""


def _refuse_edited(state: PromptState) -> Callable[[LoadedPrompt | None, LoadedPrompt | None], None]:
    """Return a check that refuses to overwrite a file that was edited since the last sync."""

    def approve(old: LoadedPrompt | None, _: LoadedPrompt | None) -> None:
        if old and (state.file is None or old.digest != state.file.digest):
            raise _FileEditedError("The file was edited.")

    return approve


def _label(state: PromptState) -> dict[str, str]:
    """Return the label of the newest version as data of its file."""
    label = Head(state.newest, state.labels).label_of(state.newest)
    return {"label": label} if label else {}


async def gather_all(steps: Iterable[Awaitable[T]]) -> list[T | BaseException]:
    """Run all steps to their end, even if some fail, and return their results or errors."""
    return await asyncio.gather(*steps, return_exceptions=True)


def raise_first_error(results: Iterable[T | BaseException]) -> list[T]:
    """Return the results. Raises the first error among them."""
    values: list[T] = []
    for result in results:
        if isinstance(result, BaseException):
            raise result
        values.append(result)
    return values
