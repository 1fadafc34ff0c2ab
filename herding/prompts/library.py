"""The library: all prompts of a directory of YAML files. A broken file is reported; the others still load."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from herding import files
from herding.errors import ConfigError, NotFoundError, UserError
from herding.prompts import older
from herding.prompts.model import Body, Prompt

_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9][a-z0-9_.-]*)*", re.IGNORECASE)
_SUFFIXES = (".yaml", ".yml")
WATCH_SECONDS = 1.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A prompt as its file gives it. `notes` tell what of the file has no effect."""

    key: str
    prompt: Prompt
    file: Path
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The library at one moment."""

    prompts: Mapping[str, Loaded]
    broken: tuple[ConfigError, ...] = ()


class Library:
    """Prompts by key; the key of `folder/name.yaml` is `folder/name`.

    `refresh` reads what changed in the directory since; it blocks, so call it from a thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._stamps: dict[Path, tuple[int, int]] | None = None
        self._snapshot = Snapshot(MappingProxyType({}))

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
        stamps = self._look()
        if stamps != self._stamps:
            self._snapshot = self._read(list(stamps))
            self._stamps = stamps
        return self._snapshot

    async def watch(self) -> None:
        """Keep the prompts as their files are; runs as long as the app."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _look(self) -> dict[Path, tuple[int, int]]:
        """When each file changed last, and its size; a file that goes away meanwhile is not there."""
        stamps: dict[Path, tuple[int, int]] = {}
        for path in sorted(self._directory.rglob("*")):
            with contextlib.suppress(FileNotFoundError):
                if path.suffix in _SUFFIXES and path.is_file():
                    stat = path.stat()
                    stamps[path] = (stat.st_mtime_ns, stat.st_size)
        return stamps

    def _read(self, paths: list[Path]) -> Snapshot:
        prompts: dict[str, Loaded] = {}
        broken: list[ConfigError] = []
        if not self._directory.is_dir():
            broken.append(ConfigError("this directory of prompts does not exist", file=self._directory.name))
        for path in paths:
            try:
                found = self._load(path)
                doubles = [item.key for item in found if item.key in prompts]
                if doubles:
                    message = f"another file defines the prompt '{doubles[0]}' already"
                    raise ConfigError(message, file=self._shown(path))
                prompts.update({item.key: item for item in found})
            except ConfigError as error:
                log.warning("Prompt file not loaded: %s", error)
                broken.append(error)
        return Snapshot(MappingProxyType(prompts), tuple(broken))

    def _shown(self, path: Path) -> Path:
        """A file as people are told of it: from the directory of prompts on, not where that is on this machine."""
        return path.relative_to(self._directory.parent)

    def _load(self, path: Path) -> list[Loaded]:
        source = files.read(path, shown=self._shown(path))
        key = path.relative_to(self._directory).with_suffix("").as_posix()
        if older.is_collection(source.data):
            return [_build(source, path, name, data, at=(name,)) for name, data in source.data.items()]
        return [_build(source, path, key, source.data)]


def _build(source: files.Source, path: Path, key: str, data: Any, at: files.Location = ()) -> Loaded:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        raise source.error(f"'{key}' is no key for a prompt: use letters, digits, '_', '-', '.' and '/'", at)
    if not isinstance(data, dict):
        raise source.error("expected keys and values", at)
    try:
        modern, notes = older.modernise(data)
    except ValueError as error:
        raise source.error(str(error), (*at, "variables" if "variable" in str(error) else "param")) from None
    prompt = source.build(Prompt, modern, at=at)
    for note in notes:
        log.info("%s: %s", path, note)
    return Loaded(key, prompt, path, tuple(notes))


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
