"""The library: all prompts of a directory of YAML files. A broken file is reported; the others still load."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from herding import files
from herding.errors import ConfigError, ConflictError, HerdingError, NotFoundError, UserError, VariableError
from herding.prompts import merging, older, saving
from herding.prompts.model import Body, Prompt
from herding.prompts.variables import clean
from herding.prompts.written import dump_file

_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*", re.IGNORECASE | re.ASCII)
MAX_KEY = 200
RESERVED = frozenset({"versions", "diff", "labels", "yaml", "resolve", "draft"})
"""No folder's part of a new key: behind a key, the API has doors of these names."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A prompt as its file gives it. `notes` tell what of the file has no effect.

    `shared` is true where the file holds several prompts. `digest` is the SHA-256 of the file's text in hex, or of this
    prompt's part of it.
    """

    key: str
    prompt: Prompt
    file: Path
    notes: tuple[str, ...] = ()
    shared: bool = False
    digest: str = ""


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

    `refresh` reads what changed in the directory since. It, `check`, `save` and `delete` block, so call them from a
    thread; one of them works at a time.
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
            raise NotFoundError(f"There is no prompt '{key}'.", param="prompt") from None

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

    def check(self, key: str, data: Mapping[str, Any]) -> Loaded:
        """The prompt that `save` would make of `data`, with the place of its file; raises what `save` raises."""
        with self._lock:
            return self._check(key, data, self._names)

    def check_all(
        self, wanted: Sequence[tuple[str, Mapping[str, Any]]], approve: Callable[[Loaded], None]
    ) -> list[Loaded | HerdingError]:
        """`check` of many prompts, one after the other, or what each of them or `approve` of it raises."""
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
        is in the way, ConfigError where the directory does not take it, and whatever
        `approve` raises.
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
            if typed is not None and not _is_dumped(typed):
                made = self._typed(typed, old, new)
            if made is not None:
                with self._changing(path):
                    stamp = _stamp(saving.write(self._directory, path, made))
                    self._take(path, stamp, new if made == text else self._parsed(made, path))
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
        (found,) = self._prompts(files.Source(text.removeprefix("\ufeff"), file=self._shown(path)), path)
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

        `digest` is the one of the file that is meant. It blocks, too.
        """
        old = self._snapshot.prompts.get(key)
        if old is None or old.shared or old.notes or old.digest != digest:
            return None
        try:
            text = merging.plain(old.file.read_bytes().decode())
            source = files.Source(text)
        except (OSError, ValueError, ConfigError):
            return None
        return merging.merged(text, {name: value for name, value in source.data.items() if name != "label"})

    def _text(self, old: Loaded, wanted: dict[str, Any]) -> str:
        """The new text of a file."""
        return _rewritten(old.file.read_bytes().decode(), self._shown(old.file), old.prompt, wanted)

    def _typed(self, typed: str, old: Loaded | None, new: Loaded) -> str | None:
        """The text of a file as somebody typed it; None where the file holds that already."""
        before = old.file.read_bytes().decode() if old else ""
        made = merging.in_ends_of(before, rewritten(new.key, merging.plain(typed), _worded(new.prompt)))
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
            source = files.Source(text, file=self._shown(path))
            if source.data != wanted:
                raise source.error("it cannot be written as YAML without a change")
            return _build(source, path, key)
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
        return self._prompts(files.read(path, shown=self._shown(path)), path)

    def _prompts(self, source: files.Source, path: Path) -> list[Loaded]:
        """The prompts of a file that was read."""
        key = path.relative_to(self._directory).with_suffix("").as_posix()
        if older.is_collection(source.data):
            return [_build(source, path, name, at=(name,)) for name in source.data]
        return [_build(source, path, key)]


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _stamped(path: Path) -> Stamp | None:
    """The stamp of a file, None where there is none."""
    return _stamp(path.stat()) if path.is_file() else None


def is_key(text: str) -> bool:
    """Whether a prompt can be called so."""
    return _KEY.fullmatch(text) is not None and len(text) <= MAX_KEY


def check_key(key: str) -> None:
    """UserError where no new prompt can be called so."""
    if not is_key(key):
        message = f"A prompt's key has letters, digits, '_', '-', '.' and '/', and at most {MAX_KEY} of them."
        raise UserError(message, param="key")
    if reserved := RESERVED.intersection(key.split("/")[1:]):
        raise UserError(f"'{min(reserved)}' stands behind a key in the API. Choose another key.", param="key")


def _worded(prompt: Prompt) -> dict[str, Any]:
    """A prompt in the words of its file, with its label."""
    return dict(prompt.content) | ({"label": prompt.said_label} if prompt.said_label else {})


def rewritten(key: str, text: str, data: Mapping[str, Any]) -> str:
    """The YAML of a prompt, changed where it says something else than `data`; ConfigError where it is none."""
    file = Path(f"{key}.yaml")
    return _rewritten(text, file, _build(files.Source(text), file, key).prompt, dict(data))


def _is_dumped(text: str) -> bool:
    """Whether a text is the dump of its data, without anything that somebody put there."""
    return merging.plain(text).strip() == dump_file(files.Source(text).data).strip()


def _rewritten(text: str, file: Path, known: Prompt, wanted: dict[str, Any]) -> str:
    """`text`, which is the prompt `known`, where `wanted` is to be."""
    raw = files.Source(text, file=file).data
    return merging.merged(text, merging.settled(raw, _worded(known), wanted))


def _said(loaded: Loaded) -> tuple[str, str | None]:
    """What a file says of a prompt."""
    return loaded.prompt.digest, loaded.prompt.said_label


def _refuse_shared(old: Loaded | None, shown: Path) -> None:
    if old and old.shared:
        raise ConflictError(f"'{old.key}' is one of several prompts in the file {shown}. Edit that file.", param="key")


def _build(source: files.Source, path: Path, key: str, at: files.Location = ()) -> Loaded:
    """The prompt that stands in `source`, or `at` a place in it."""
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise source.error(f"'{key}' is no key for a prompt: use letters, digits, '_', '-', '.' and '/'", at)
    data = source.data[key] if at else source.data
    if not isinstance(data, dict):
        raise source.error("expected keys and values", at)
    _refuse_odd_characters(source, data, at)
    try:
        modern, notes = older.modernise(data)
    except ValueError as error:
        raise source.error(str(error), (*at, "variables" if "variable" in str(error) else "param")) from None
    prompt = source.build(Prompt, modern, at=at)
    for note in notes:
        log.info("%s: %s", path, note)
    return Loaded(key, prompt, path, tuple(notes), shared=bool(at), digest=_digest(data) if at else source.digest)


def _digest(data: Any) -> str:
    return sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()


def _refuse_odd_characters(source: files.Source, data: Any, at: files.Location) -> None:
    """Refuse texts that can be neither stored nor sent."""
    left: list[tuple[files.Location, Any]] = [(at, data)]
    while left:
        place, item = left.pop()
        if isinstance(item, str):
            try:
                clean(item)
            except VariableError as error:
                raise source.error(error.message, place) from None
        elif isinstance(item, dict):
            left.extend((place, name) for name in item)
            left.extend(((*place, name), part) for name, part in item.items())
        elif isinstance(item, list):
            left.extend(((*place, number), part) for number, part in enumerate(item))


def parse_body(text: str, prompt: Prompt) -> Prompt:
    """`prompt` with the body that an editor holds as YAML (`messages`, `prompt` or `variants`); UserError if wrong."""
    try:
        return prompt.with_body(files.Source(text).build(Body))
    except ConfigError as error:
        place = f" (line {error.line})" if error.line else ""
        key = f"{error.key}: " if error.key else ""
        raise UserError(f"The edited template is not usable{place}: {key}{error.reason}.", param="template") from None
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UserError(f"The edited template is not usable: {message}.", param="template") from None


def parse_prompt(key: str, text: str) -> Prompt:
    """The prompt that an editor holds whole, as the YAML of a file; UserError names the line and the key at fault."""
    try:
        return _build(files.Source(text), Path(f"{key}.yaml"), key).prompt
    except ConfigError as error:
        place = f" (line {error.line})" if error.line else ""
        name = f"{error.key}: " if error.key else ""
        raise UserError(f"This is no prompt yet{place}: {name}{error.reason}.", param=error.key or "whole") from None
