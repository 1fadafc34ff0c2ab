"""The library: all prompts of a directory of YAML files. A broken file is reported; the others still load."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from herding import yaml_files
from herding.errors import ConfigError, ConflictError, HerdingError, UserError
from herding.prompts import merging, reading, saving
from herding.prompts.key import check_key, no_prompt
from herding.prompts.reading import Loaded
from herding.prompts.rewriting import changed, is_dumped, rewritten

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The library at one moment. `unread` are the files that did not load, from the directory of prompts on."""

    prompts: Mapping[str, Loaded]
    broken: tuple[ConfigError, ...] = ()
    unread: frozenset[str] = frozenset()


Stamp = tuple[int, int, int]
"""What changes with a file: when it was written, its size, its place on the disk."""

Approve = Callable[[Loaded | None, Loaded | None], None]
"""Looks at a prompt as it is and as it will be (None: there is none) and raises where that may not be."""


def anything(old: Loaded | None, new: Loaded | None) -> None:
    """Approves of every change."""


class Library:
    """Prompts by key; the key of `folder/name.yaml` is `folder/name`.

    `refresh` reads what changed in the directory since. It, `check_all`, `save`, `text` and `delete` block, so call
    them from a thread; one of them works at a time.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._stamps: dict[Path, Stamp] | None = None
        self._known: dict[Path, tuple[Stamp, list[Loaded]]] = {}
        self._snapshot = Snapshot(MappingProxyType({}))
        self._names = saving.Names()

    @property
    def snapshot(self) -> Snapshot:
        """The prompts as last read."""
        return self._snapshot

    def get(self, key: str) -> Loaded:
        """The prompt of that key; NotFoundError if there is none."""
        try:
            return self._snapshot.prompts[key]
        except KeyError:
            raise no_prompt(key) from None

    def refresh(self) -> Snapshot:
        """Read the directory again if any file in it changed."""
        with self._lock:
            stamps = self._look()
            if stamps != self._stamps:
                self._snapshot = self._read(stamps)
                self._names = saving.Names(self._snapshot.prompts)
                self._stamps = stamps
            return self._snapshot

    def misses(self, key: str, file: str) -> bool:
        """Whether the prompt's file (as `place` gave it once) is gone, and not only broken or away with all others."""
        unread = self._snapshot.unread
        mine = {file, *(f"{key}{suffix}" for suffix in saving.SUFFIXES)}
        return key not in self._snapshot.prompts and self._directory.is_dir() and not mine & unread

    def place(self, found: Loaded) -> str:
        """Where a prompt's file stands in the directory."""
        return found.file.relative_to(self._directory).as_posix()

    def check_all(
        self, wanted: Sequence[tuple[str, Mapping[str, Any]]], approve: Callable[[Loaded], None]
    ) -> list[Loaded | HerdingError]:
        """The prompts that `save` would make, each with the place of its file; or what it, or `approve`, would raise.

        Of prompts that get in each other's way the first is taken.
        """
        with self._lock:
            names, found = self._names.copy(), list[Loaded | HerdingError]()
            for key, data in wanted:
                try:
                    checked = self._check(key, data, names)
                    approve(checked)
                except HerdingError as error:
                    found.append(error)
                else:
                    names.add(key)
                    found.append(checked)
            return found

    def _check(self, key: str, data: Mapping[str, Any], names: saving.Names) -> Loaded:
        check_key(key)
        wanted = saving.plain(data)
        text = saving.text_of(wanted)
        old = self._now(key)
        path = old.file if old else saving.place(self._directory, key, names)
        return self._checked(key, text, path, wanted)

    def save(self, key: str, data: Mapping[str, Any], approve: Approve = anything, typed: str | None = None) -> Loaded:
        """Write a prompt to its file, and give it as it is read from there.

        All is checked before anything is written; a prompt that stays what it is leaves its file as it is, and what
        stays of a file keeps its comments, its order and its quotes. Where somebody `typed` the prompt as YAML, the
        file becomes that text, changed where it says something else than `data`; a text that only holds data, as it is
        dumped here, has nothing to keep. UserError for a key or data that make no prompt, ConflictError where a file
        is in the way, ConfigError where the directory does not take it, and whatever `approve` raises.
        """
        check_key(key)
        wanted = saving.plain(data)
        text = saving.text_of(wanted)
        with self._lock:
            old = self._now(key)
            path = old.file if old else saving.place(self._directory, key, self._names)
            _refuse_shared(old, self._shown(path))
            new = self._checked(key, text, path, wanted)
            approve(old, new)
            made = text if old is None else self._text(old, wanted) if _said(old) != _said(new) else None
            if typed is not None and not is_dumped(typed):
                made = self._typed(typed, old, new)
            if made is not None:
                found = new if made == text else self._parsed(made, path)
                with self._changing(path):
                    self._take(path, _stamp(saving.write(self._directory, path, made)), found)
            return self.get(key)

    def _now(self, key: str) -> Loaded | None:
        """The prompt of that key as its file has it now. Only where that file changed is the directory read again."""
        if self._stamps is None:
            self.refresh()
        old = self._snapshot.prompts.get(key)
        paths = [old.file] if old else [self._directory / f"{key}{suffix}" for suffix in saving.SUFFIXES]
        if any(_stamped(path) != (self._stamps or {}).get(path) for path in paths):
            return self.refresh().prompts.get(key)
        return old

    def _parsed(self, text: str, path: Path) -> Loaded:
        """The prompt of a file with this text."""
        (found,) = self._prompts(yaml_files.Source(text.removeprefix("\ufeff"), file=self._shown(path)), path)
        return found

    def _take(self, path: Path, stamp: Stamp, found: Loaded) -> None:
        """Take a file that was written as read; the other files are as they were."""
        if not self._stamps:  # the first one: there may have been no directory before
            self._read_again(path)
            return
        self._known[path] = (stamp, [found])
        self._stamps = {**self._stamps, path: stamp}
        self._snapshot = replace(self._snapshot, prompts=MappingProxyType({**self._snapshot.prompts, found.key: found}))
        self._names.add(found.key)

    def text(self, key: str, digest: str) -> str | None:
        """The text of the file of a prompt, without its label; None where the file is none of its own, or another one.

        `digest` is the one of the file that is meant.
        """
        old = self._snapshot.prompts.get(key)
        if old is None or old.shared or old.notes or old.digest != digest:
            return None
        try:
            text = merging.plain(old.file.read_bytes().decode())
            source = yaml_files.Source(text)
        except (OSError, ValueError, ConfigError):
            return None
        return merging.merged(text, {name: value for name, value in source.data.items() if name != "label"})

    def _text(self, old: Loaded, wanted: dict[str, Any]) -> str:
        """The new text of a file."""
        return changed(old.file.read_bytes().decode(), self._shown(old.file), old.prompt, wanted)

    def _typed(self, typed: str, old: Loaded | None, new: Loaded) -> str | None:
        """The text of a file as somebody typed it; None where the file holds that already."""
        before = old.file.read_bytes().decode() if old else ""
        made = merging.in_ends_of(before, rewritten(new.key, merging.plain(typed), new.prompt.worded))
        return None if made == before else made

    def delete(self, key: str, approve: Approve = anything) -> None:
        """Delete a prompt with its file. Raises what `save` raises, and NotFoundError where there is none."""
        with self._lock:
            self.refresh()
            old = self.get(key)
            _refuse_shared(old, self._shown(old.file))
            approve(old, None)
            try:
                saving.remove(self._directory, old.file)
            finally:
                self._read_again(old.file)

    @contextlib.contextmanager
    def _changing(self, path: Path) -> Iterator[None]:
        """Around a change of a file: where that fails, the file is read again."""
        try:
            yield
        except BaseException:
            self._read_again(path)
            raise

    def _read_again(self, path: Path) -> None:
        self._known.pop(path, None)
        self._stamps = None
        self.refresh()

    def _checked(self, key: str, text: str, path: Path, wanted: Mapping[str, Any]) -> Loaded:
        """The prompt that will be read from `text`, in the same way; UserError names the key of what is wrong."""
        try:
            source = yaml_files.Source(text, file=self._shown(path))
            if source.data != wanted:
                raise source.error("it cannot be written as YAML without a change")
            return reading.build(source, path, key)
        except ConfigError as error:
            where = f"{error.key}: " if error.key else ""
            raise UserError(f"This is no prompt: {where}{error.reason}.", param=error.key) from None

    def _look(self) -> dict[Path, Stamp]:
        """The stamp of each file; one that goes away meanwhile is not there."""
        stamps: dict[Path, Stamp] = {}
        for path in sorted(self._found()):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    stamps[path] = _stamp(path.stat())
        return stamps

    def _found(self) -> Iterator[Path]:
        """What may be prompt files; what begins with a dot belongs to other programs, as in `.git` or `._name.yaml`."""
        for folder, inside, names in os.walk(self._directory):
            inside[:] = [name for name in inside if not name.startswith(".")]
            for name in names:
                if name.endswith(saving.SUFFIXES) and not name.startswith("."):
                    yield Path(folder, name)

    def _read(self, stamps: Mapping[Path, Stamp]) -> Snapshot:
        """All files; those that loaded and did not change since are not read again."""
        prompts: dict[str, Loaded] = {}
        broken: list[ConfigError] = []
        unread: set[str] = set()
        known, self._known = self._known, {}
        if not self._directory.is_dir():
            broken.append(ConfigError("this directory of prompts does not exist", file=self._directory.name))
        for path, stamp in stamps.items():
            try:
                found = known[path][1] if path in known and known[path][0] == stamp else self._load(path)
                self._known[path] = (stamp, found)
                doubles = [item.key for item in found if item.key in prompts]
                if doubles:
                    message = f"another file defines the prompt '{doubles[0]}' already"
                    raise ConfigError(message, file=self._shown(path))
                prompts.update({item.key: item for item in found})
            except ConfigError as error:
                log.warning("Prompt file not loaded: %s", error)
                broken.append(error)
                unread.add(path.relative_to(self._directory).as_posix())
        return Snapshot(MappingProxyType(prompts), tuple(broken), frozenset(unread))

    def _shown(self, path: Path) -> Path:
        """A file as people are told of it: from the directory of prompts on, not where that is on this machine."""
        return path.relative_to(self._directory.parent)

    def _load(self, path: Path) -> list[Loaded]:
        return self._prompts(yaml_files.read(path, shown=self._shown(path)), path)

    def _prompts(self, source: yaml_files.Source, path: Path) -> list[Loaded]:
        """The prompts of a file that was read."""
        return reading.read(source, path, path.relative_to(self._directory).with_suffix("").as_posix())


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _stamped(path: Path) -> Stamp | None:
    """The stamp of a file, None where there is none."""
    return _stamp(path.stat()) if path.is_file() else None


def _said(loaded: Loaded) -> tuple[str, str | None]:
    """What a file says of a prompt."""
    return loaded.prompt.digest, loaded.prompt.said_label


def _refuse_shared(old: Loaded | None, shown: Path) -> None:
    if old and old.shared:
        raise ConflictError(f"'{old.key}' is one of several prompts in the file {shown}. Edit that file.", param="key")
