"""The library: all prompts in a directory of YAML files. A broken file is reported and the others still load."""

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
from herding.prompts import directory, prompt_file, yaml_merge
from herding.prompts.directory import KeySpellings
from herding.prompts.model import check_key, prompt_not_found
from herding.prompts.prompt_file import LoadedPrompt, is_plain_dump, rewrite_text, update_text
from herding.prompts.steps import find_fault

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The prompts at one moment. `unread` are the files that did not load, relative to the directory."""

    prompts: Mapping[str, LoadedPrompt]
    broken: tuple[ConfigError, ...] = ()
    unread: frozenset[str] = frozenset()


Stamp = tuple[int, int, int]
"""Modification time, size and inode of a file. A changed file has another stamp."""

Missing = Callable[[str, str], str | None]
"""Returns why a part of a kind and a name is not installed, None where it is."""

Approve = Callable[[LoadedPrompt | None, LoadedPrompt | None], None]
"""Checks a change from one prompt to another (None: no prompt) and raises to prevent it."""


def approve_all(old: LoadedPrompt | None, new: LoadedPrompt | None) -> None:
    """Allow every change."""


class Library:
    """The prompts of a directory by key. The key of `folder/name.yaml` is `folder/name`.

    `refresh`, `check_all`, `save`, `text` and `delete` block: call them from a thread. They run one at a time.
    `missing` returns why a part of a prompt that comes from plugins, such as the `response filter` of a name, is not
    there; a file that needs it does not load then. `snapshot` has the prompts as read by the last refresh.
    """

    def __init__(self, directory: Path, *, missing: Missing | None = None) -> None:
        self._directory, self._missing = directory, missing
        self._lock = threading.RLock()
        self._stamps: dict[Path, Stamp] | None = None
        self._known: dict[Path, tuple[Stamp, list[LoadedPrompt]]] = {}
        self.snapshot = Snapshot(MappingProxyType({}))
        self._names = KeySpellings()

    def get(self, key: str) -> LoadedPrompt:
        """Return the prompt with this key. Raises NotFoundError."""
        try:
            return self.snapshot.prompts[key]
        except KeyError:
            raise prompt_not_found(key) from None

    def refresh(self) -> Snapshot:
        """Read the directory again if any file in it changed."""
        with self._lock:
            stamps = self._scan()
            if stamps != self._stamps:
                self.snapshot = self._read(stamps)
                self._names = KeySpellings(self.snapshot.prompts)
                self._stamps = stamps
            return self.snapshot

    def is_deleted(self, key: str, file: str) -> bool:
        """Return whether the prompt's `file` was deleted, and is not just broken or missing with its directory."""
        unread = self.snapshot.unread
        mine = {file, *(f"{key}{suffix}" for suffix in directory.SUFFIXES)}
        return key not in self.snapshot.prompts and self._directory.is_dir() and not mine & unread

    def relative_path(self, found: LoadedPrompt) -> str:
        """Return the path of a prompt's file relative to the directory."""
        return found.file.relative_to(self._directory).as_posix()

    def check_all(
        self, wanted: Sequence[tuple[str, Mapping[str, Any]]], approve: Callable[[LoadedPrompt], None]
    ) -> list[LoadedPrompt | HerdingError]:
        """Return, for each prompt, what `save` would make of it, or the error that it or `approve` would raise.

        If two prompts conflict, the first one is accepted.
        """
        with self._lock:
            names, found = self._names.copy(), list[LoadedPrompt | HerdingError]()
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

    def _check(self, key: str, data: Mapping[str, Any], names: KeySpellings) -> LoadedPrompt:
        check_key(key)
        wanted = directory.to_plain_data(data)
        text = directory.to_text(wanted)
        old = self._current(key)
        path = old.file if old else directory.new_path(self._directory, key, names)
        return self._checked(key, text, path, wanted)

    def save(
        self, key: str, data: Mapping[str, Any], approve: Approve = approve_all, typed: str | None = None
    ) -> LoadedPrompt:
        """Write a prompt to its file and return it.

        Everything is checked before anything is written. Unchanged parts of the file keep their comments, order and
        quotes. If the user `typed` the prompt as YAML, the file becomes that text, changed only where `data` differs.

        Raises UserError for an invalid key or prompt, ConflictError if another file is in the way, ConfigError if the
        directory is not writable, and the errors of `approve`.
        """
        check_key(key)
        wanted = directory.to_plain_data(data)
        text = directory.to_text(wanted)
        with self._lock:
            old = self._current(key)
            path = old.file if old else directory.new_path(self._directory, key, self._names)
            _refuse_shared(old, self._shown(path))
            new = self._checked(key, text, path, wanted)
            approve(old, new)
            made = text if old is None else self._text(old, wanted) if _identity(old) != _identity(new) else None
            if typed is not None and not is_plain_dump(typed):
                made = self._typed(typed, old, new)
            if made is not None:
                found = new if made == text else self._parsed(made, path)
                with self._changing(path):
                    self._record(path, _stamp(directory.write(self._directory, path, made)), found)
            return self.get(key)

    def _current(self, key: str) -> LoadedPrompt | None:
        """Return the prompt as its file holds it now. Reads the directory again only if that file changed."""
        if self._stamps is None:
            self.refresh()
        old = self.snapshot.prompts.get(key)
        paths = [old.file] if old else [self._directory / f"{key}{suffix}" for suffix in directory.SUFFIXES]
        if any(_stamped(path) != (self._stamps or {}).get(path) for path in paths):
            return self.refresh().prompts.get(key)
        return old

    def _parsed(self, text: str, path: Path) -> LoadedPrompt:
        """Return the prompt of a file with this text."""
        (found,) = self._prompts(yaml_files.YamlDocument(text.removeprefix("\ufeff"), file=self._shown(path)), path)
        return found

    def _record(self, path: Path, stamp: Stamp, found: LoadedPrompt) -> None:
        """Record a file that was just written, without reading the others again."""
        if not self._stamps:  # the first one: there may have been no directory before
            self._read_again(path)
            return
        self._known[path] = (stamp, [found])
        self._stamps = {**self._stamps, path: stamp}
        self.snapshot = replace(self.snapshot, prompts=MappingProxyType({**self.snapshot.prompts, found.key: found}))
        self._names.add(found.key)

    def text(self, key: str, digest: str) -> str | None:
        """Return the text of a prompt's file without its label.

        Returns None if the file has another `digest`, holds several prompts, or has parts without effect.
        """
        old = self.snapshot.prompts.get(key)
        if old is None or old.shared or old.notes or old.digest != digest:
            return None
        try:
            text = yaml_merge.normalize_newlines(old.file.read_bytes().decode())
            source = yaml_files.YamlDocument(text)
        except (OSError, ValueError, ConfigError):
            return None
        made = yaml_merge.merge_text(text, {name: value for name, value in source.data.items() if name != "label"})
        same = made == text or self._parsed(made, old.file).prompt.digest == old.prompt.digest
        return made if same else None

    def _text(self, old: LoadedPrompt, wanted: dict[str, Any]) -> str:
        """Return the new text of a file."""
        return update_text(old.file.read_bytes().decode(), self._shown(old.file), old.prompt, wanted)

    def _typed(self, typed: str, old: LoadedPrompt | None, new: LoadedPrompt) -> str | None:
        """Return the text of a file as the user typed it, or None if the file holds it already."""
        before = old.file.read_bytes().decode() if old else ""
        text = rewrite_text(new.key, yaml_merge.normalize_newlines(typed), new.prompt.file_data)
        made = yaml_merge.copy_newlines(before, text)
        return None if made == before else made

    def delete(self, key: str, approve: Approve = approve_all) -> None:
        """Delete a prompt with its file. Raises NotFoundError, and the errors of `save`."""
        with self._lock:
            self.refresh()
            old = self.get(key)
            _refuse_shared(old, self._shown(old.file))
            approve(old, None)
            try:
                directory.remove(self._directory, old.file)
            finally:
                self._read_again(old.file)

    @contextlib.contextmanager
    def _changing(self, path: Path) -> Iterator[None]:
        """Read the file again if the change in this context fails."""
        try:
            yield
        except BaseException:
            self._read_again(path)
            raise

    def _read_again(self, path: Path) -> None:
        self._known.pop(path, None)
        self._stamps = None
        self.refresh()

    def _checked(self, key: str, text: str, path: Path, wanted: Mapping[str, Any]) -> LoadedPrompt:
        """Return the prompt that will be read from `text`. Raises UserError with the key of an error."""
        try:
            source = yaml_files.YamlDocument(text, file=self._shown(path))
            if source.data != wanted:
                raise source.error("it cannot be written as YAML without changing it")
            found = prompt_file.build(source, path, key, numbers_as_written=False)
            self._check_extensions(source, found)
            return found
        except ConfigError as error:
            where = f"{error.key}: " if error.key else ""
            raise UserError(f"The prompt has an error: {where}{error.reason}.", param=error.key) from None

    def _scan(self) -> dict[Path, Stamp]:
        """Return the stamp of each prompt file."""
        stamps: dict[Path, Stamp] = {}
        for path in sorted(self._paths()):
            with contextlib.suppress(FileNotFoundError):
                stamps[path] = _stamp(path.stat() if path.is_file() else path.lstat())
        return stamps

    def _paths(self) -> Iterator[Path]:
        """Yield the paths of all YAML files. Hidden files and folders belong to other programs."""
        for folder, inside, names in os.walk(self._directory):
            inside[:] = [name for name in inside if not name.startswith(".")]
            for name in names:
                if name.endswith(directory.SUFFIXES) and not name.startswith("."):
                    yield Path(folder, name)

    def _read(self, stamps: Mapping[Path, Stamp]) -> Snapshot:
        """Read all files, except those that did not change since they were read."""
        prompts: dict[str, LoadedPrompt] = {}
        aliases: dict[str, str] = {}
        broken: list[ConfigError] = []
        unread: set[str] = set()
        known, self._known = self._known, {}
        if not self._directory.is_dir():
            broken.append(ConfigError("the directory of prompts does not exist", file=self._directory.name))
        held = {loaded.file for loaded in self.snapshot.prompts.values() if loaded.prompt.alias}
        for path, stamp in sorted(stamps.items(), key=lambda item: item[0] not in held):  # they keep their aliases
            try:
                found = known[path][1] if path in known and known[path][0] == stamp else self._load(path)
                self._known[path] = (stamp, found)
                doubles = [item.key for item in found if item.key in prompts]
                if doubles:
                    message = f"another file already defines the prompt '{doubles[0]}'"
                    raise ConfigError(message, file=self._shown(path))
                _claim_aliases(aliases, found, self._shown(path))
                prompts.update({item.key: item for item in found})
            except ConfigError as error:
                log.warning("load prompt file failed: %s", error)
                broken.append(error)
                unread.add(path.relative_to(self._directory).as_posix())
        for loaded, fault in self._faulty_chains(prompts):
            log.warning("load prompt file failed: %s", fault)
            broken.append(fault)
            unread.add(self.relative_path(loaded))
            del prompts[loaded.key]
        return Snapshot(MappingProxyType(prompts), tuple(broken), frozenset(unread))

    def _faulty_chains(self, prompts: Mapping[str, LoadedPrompt]) -> list[tuple[LoadedPrompt, ConfigError]]:
        """Return the chains that can't run, with the reasons."""
        steps_of = {key: loaded.prompt.steps or () for key, loaded in prompts.items()}
        return [
            (loaded, ConfigError(fault, file=self._shown(loaded.file), key="steps"))
            for key, loaded in prompts.items()
            if loaded.prompt.steps and (fault := find_fault(key, steps_of))
        ]

    def _shown(self, path: Path) -> Path:
        """Return the path of a file as error messages show it, without the parents of the directory."""
        return path.relative_to(self._directory.parent)

    def _load(self, path: Path) -> list[LoadedPrompt]:
        if not path.is_file():  # to read a pipe or a device could take forever
            raise ConfigError("this is not a file, or a link to none", file=self._shown(path))
        source = yaml_files.read(path, shown=self._shown(path))
        loaded = self._prompts(source, path)
        for found in loaded:
            self._check_extensions(source, found)
            for note in (*found.notes, *found.prompt.notes):
                log.warning("prompt has a note (%s): %s", found.key, note)
        return loaded

    def _check_extensions(self, source: yaml_files.YamlDocument, found: LoadedPrompt) -> None:
        """Raise ConfigError for a part of plugins that is not installed."""
        for noun, name, at in found.prompt.extensions() if self._missing else ():
            if self._missing and (problem := self._missing(noun, name)):
                raise source.error(problem.rstrip("."), (*((found.key,) if found.shared else ()), *at))

    def _prompts(self, source: yaml_files.YamlDocument, path: Path) -> list[LoadedPrompt]:
        """Return the prompts of a document."""
        return prompt_file.read(source, path, path.relative_to(self._directory).with_suffix("").as_posix())


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _stamped(path: Path) -> Stamp | None:
    """Return the stamp of a file, or None if there is no file."""
    return _stamp(path.stat()) if path.is_file() else None


def _identity(loaded: LoadedPrompt) -> tuple[str, str | None]:
    """Return what identifies the content of a prompt's file."""
    return loaded.prompt.digest, loaded.prompt.file_label


def _claim_aliases(aliases: dict[str, str], found: Sequence[LoadedPrompt], shown: Path) -> None:
    """Add the aliases of a file. Raises ConfigError if another prompt has one of them."""
    claimed = [(item.prompt.alias.path, item.key) for item in found if item.prompt.alias]
    mine = {path: key for path, key in reversed(claimed)}
    for path, key in claimed:
        if (holder := aliases.get(path, mine[path])) != key:
            raise ConfigError(f"{path} is the alias of the prompt '{holder}'", file=shown, key="alias")
    aliases |= mine


def _refuse_shared(old: LoadedPrompt | None, shown: Path) -> None:
    if old and old.shared:
        raise ConflictError(f"'{old.key}' is one of several prompts in the file {shown}. Edit the file.", param="key")
