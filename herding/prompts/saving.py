"""Where the file of a prompt stands, and how it gets there: whole or not at all, and never outside the directory."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from herding import yaml_files
from herding.errors import ConfigError, ConflictError, UserError
from herding.prompts.yaml_dump import dump_file

SUFFIXES = (".yaml", ".yml")
MAX_FILE = 256_000
"""Bytes of a prompt file that is written here; one that people write may have more."""

_TOO_LARGE = f"A prompt that is saved has at most {MAX_FILE:,} bytes. Make it shorter."
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a prompt's data as JSON knows it, with old names of keys replaced.

    Raises UserError for data that JSON does not know.
    """
    try:
        text = json.dumps(data, allow_nan=False)
        if len(text) > 6 * MAX_FILE:  # an escape in JSON has up to six characters for a byte
            raise UserError(_TOO_LARGE)
        copy: dict[str, Any] = json.loads(text)
    except RecursionError:
        raise UserError("This is no prompt: it is nested too deep.") from None
    except (TypeError, ValueError):
        raise UserError("This is no prompt: it holds a value that JSON does not know.") from None
    return copy if "checks" in copy else {"checks" if key == "contract" else key: copy[key] for key in copy}


def text_of(data: Mapping[str, Any]) -> str:
    """Plain data as the text of a file."""
    try:
        text = dump_file(data)
    except RecursionError:
        raise UserError("This is no prompt: it is nested too deep.") from None
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE:
        raise UserError(_TOO_LARGE)
    return text


class Names:
    """The keys of prompts and their folders, as they are spelled."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._spelled: dict[str, str] = {}
        for key in keys:
            self.add(key)

    def add(self, key: str) -> None:
        """One more prompt."""
        self._spelled.update((part.casefold(), part) for part in _with_folders(key))

    def copy(self) -> Names:
        """The same names, to add more of them for a while."""
        names = Names()
        names._spelled = dict(self._spelled)
        return names

    def refuse_other_case(self, key: str) -> None:
        """ConflictError for a key of which some disks would make the file of another prompt: `Say` beside `say`."""
        for part in _with_folders(key):
            if (known := self._spelled.get(part.casefold(), part)) != part:
                raise ConflictError(f"There is '{known}' already; '{part}' differs by its case only.", param="key")


def place(directory: Path, key: str, names: Names) -> Path:
    """The file for a new prompt; ConflictError where something is in the way."""
    path = directory / f"{key}.yaml"
    names.refuse_other_case(key)
    for folder in path.relative_to(directory).parents:
        if folder.suffix in SUFFIXES:
            raise UserError(f"A folder of prompts is not called '{folder.name}'. Choose another key.", param="key")
    for found in (directory / f"{key}{suffix}" for suffix in SUFFIXES):
        if found.exists() or found.is_symlink():
            shown = found.relative_to(directory.parent)
            raise ConflictError(f"There is a file {shown} already, without this prompt. Mend or move it.", param="key")
    return path


def write(directory: Path, path: Path, text: str) -> os.stat_result:
    """Write a prompt file and the folders that it needs; gives the status of the file with this text."""
    _refuse_links(directory, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return yaml_files.write(path, text)
    except OSError as error:
        raise _explained(error, directory) from None
    finally:
        _remove_empty_folders(directory, path)


def remove(directory: Path, path: Path) -> None:
    """Delete a prompt file and the folders that it leaves empty."""
    _refuse_links(directory, path)
    try:
        yaml_files.remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _explained(error, directory) from None
    _remove_empty_folders(directory, path)


def _with_folders(key: str) -> Iterator[str]:
    parts = key.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts) + 1))


def _refuse_links(directory: Path, path: Path) -> None:
    for part in (path, *path.parents):
        if part == directory:
            return
        if part.is_symlink():
            shown = part.relative_to(directory.parent)
            raise ConflictError(f"{shown} is a link to another place; its prompts are changed there.", param="key")
    raise UserError("A prompt's file stays in the directory of prompts.", param="key")


def _remove_empty_folders(directory: Path, path: Path) -> None:
    for folder in path.parents:
        if folder == directory:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def _explained(error: OSError, directory: Path) -> ConfigError:
    if error.errno in _CLOSED:
        reason = (
            "Herding may not write here. Give it the right to, or set HERDING_PROMPTS to a directory where it may write"
        )
    elif error.errno in _FULL:
        reason = "the disk is full, and nothing was changed. Free some space and try again"
    else:
        reason = f"the file cannot be written, and nothing was changed: {error.strerror}"
    return ConfigError(reason, file=directory.name)
