"""Keeps collections equal to the files of a directory: a folder is a collection, a file below it a document."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from herding.errors import HerdingError, NotFoundError, UserError
from herding.knowledge.collections import is_name
from herding.knowledge.documents import add_documents, kind_of, read_document
from herding.knowledge.embedder import DEFAULT_MODEL
from herding.store import Store
from herding.values import Collection, NewDocument

WATCH_SECONDS = 2.0
FOLDER = "folder"
"""The name in `changed_by` of documents that come from files; only these are deleted with their files."""

_BATCH = 50
_PAGE = 1_000

Stamp = tuple[int, int]

log = logging.getLogger(__name__)


class DocumentFolder:
    """A directory whose folders are collections. Files that begin with a dot, and links, are left out."""

    def __init__(self, path: Path, *, store: Store, clock: Callable[[], int]) -> None:
        self._path, self._store, self._clock = path, store, clock
        self._seen: dict[str, Mapping[Path, Stamp]] = {}
        self._told: set[str] = set()

    async def watch(self) -> None:
        """Read the directory again and again, as long as the app runs."""
        while True:
            try:
                await self.refresh()
            except (HerdingError, OSError) as error:
                self._tell(f"documents not read ({self._path}): {error}")
            await asyncio.sleep(WATCH_SECONDS)

    async def refresh(self) -> None:
        """Add the files that are new or changed, and delete the documents of those that are gone."""
        folders, loose = await asyncio.to_thread(_entries, self._path)
        for file in loose:
            self._tell(f"file left out ({file}): move it into a folder, which becomes a collection")
        for name in {*folders, *self._seen}:
            try:
                files = await asyncio.to_thread(_files, self._path / name) if name in folders else {}
                if files != self._seen.get(name):
                    await self._update(name, files)
                    self._seen[name] = files
            except (HerdingError, OSError) as error:  # the other folders are read all the same
                self._tell(f"documents not read ({self._path / name}): {error}")

    async def _update(self, name: str, files: Mapping[Path, Stamp]) -> None:
        if not is_name(name):
            self._tell(f"folder left out ({name}): its name is not one of a collection")
            return
        collection = await self._collection(name, create=bool(files))
        if collection is None:
            return
        before = self._seen.get(name, {})
        changed = [path for path, stamp in files.items() if before.get(path) != stamp]
        for start in range(0, len(changed), _BATCH):
            documents = await asyncio.to_thread(self._read, name, changed[start : start + _BATCH])
            if documents:
                await add_documents(self._store, collection, documents, changed_by=FOLDER, now=self._clock())
        await self._delete(collection, {self._key(name, path) for path in files})

    async def _collection(self, name: str, *, create: bool) -> Collection | None:
        try:
            return await self._store.collection(name)
        except NotFoundError:
            if not create:
                return None
        made = Collection(name, DEFAULT_MODEL, created_at=self._clock(), created_by=FOLDER)
        await self._store.add_collection(made)
        log.info("collection created (%s): its folder is in %s", name, self._path)
        return await self._store.collection(name)

    async def _delete(self, collection: Collection, keys: set[str]) -> None:
        """Delete the documents from files that are not there any more."""
        gone: list[str] = []
        offset = 0
        while page := await self._store.documents(collection.id, limit=_PAGE, offset=offset):
            gone += [document.key for document in page if document.changed_by == FOLDER and document.key not in keys]
            offset += len(page)
        if gone:
            await self._store.delete_documents(collection.id, gone)

    def _read(self, name: str, paths: list[Path]) -> list[NewDocument]:
        documents = []
        for path in paths:
            try:
                documents.append(read_document(path, self._key(name, path)))
            except UserError as error:
                self._tell(f"file left out ({path}): {error.message}")
        return documents

    def _key(self, name: str, path: Path) -> str:
        return path.relative_to(self._path / name).as_posix()

    def _tell(self, words: str) -> None:
        """Log a warning once."""
        if words not in self._told:
            self._told.add(words)
            log.warning("%s", words)


def _entries(directory: Path) -> tuple[list[str], list[Path]]:
    """Return the names of the folders in a directory, and the files beside them. Blocks."""
    entries = sorted(entry for entry in directory.iterdir() if _is_plain(entry))
    loose = [entry for entry in entries if entry.is_file() and kind_of(entry.name) is not None]
    return [entry.name for entry in entries if entry.is_dir()], loose


def _files(folder: Path) -> dict[Path, Stamp]:
    """Return the files below a folder. Raises OSError, since a folder that can't be read is not empty. Blocks."""
    found: dict[Path, Stamp] = {}
    for place, inside, names in os.walk(folder, onerror=_fail):
        inside[:] = sorted(name for name in inside if _is_plain(Path(place, name)))
        for entry in (Path(place, name) for name in sorted(names)):
            if _is_plain(entry) and entry.is_file():
                status = entry.stat()
                found[entry] = (status.st_mtime_ns, status.st_size)
    return found


def _fail(error: OSError) -> None:
    raise error


def _is_plain(entry: Path) -> bool:
    return not entry.name.startswith(".") and not entry.is_symlink() and entry.name != "__pycache__"
