"""Writes and removes prompt files atomically, and only within the directory of prompts."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from herding import yaml_files
from herding.errors import ConfigError, ConflictError, UserError
from herding.prompts.yaml_dump import dump_file

SUFFIXES = (".yaml", ".yml")
MAX_FILE = 256_000
"""Maximum size of a file that is written here, in bytes. A file written by hand may be larger."""

_TOO_LARGE = f"The prompt is larger than {MAX_FILE:,} bytes. Shorten it."
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)
_FULL = (errno.ENOSPC, errno.EDQUOT)


ID_FILE = ".herding-id"


def read_id(directory: Path, home: Path) -> str:
    """Return the random ID of a directory of prompts, which is created at first use. Blocks.

    It tells which files of an app belong together: another directory has other files, although its path may be the
    same in another container. It is in the directory itself, where its inode tells a copy, and in the data directory
    `home` if that is read-only.
    """
    for path in (directory / ID_FILE, home / "prompts-id"):
        with suppress(OSError, UnicodeDecodeError):
            with suppress(FileExistsError), path.open("x", encoding="ascii") as file:
                file.write(secrets.token_hex(16))
            if text := path.read_text("ascii").strip():
                return f"{text[:64]}-{directory.stat().st_ino}" if path.parent == directory else text[:64]
    return secrets.token_hex(16)


def to_plain_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a prompt's data as plain JSON data, with the old name of `checks` replaced.

    Raises UserError for values that JSON does not support.
    """
    try:
        text = json.dumps(data, allow_nan=False)
        if len(text) > 6 * MAX_FILE:  # an escape in JSON has up to six characters for a byte
            raise UserError(_TOO_LARGE)
        copy: dict[str, Any] = json.loads(text)
    except RecursionError:
        raise UserError("The prompt has an error: it is nested too deep.") from None
    except (TypeError, ValueError):
        raise UserError("The prompt has an error: it holds a value that JSON does not support.") from None
    return copy if "checks" in copy else {"checks" if key == "contract" else key: copy[key] for key in copy}


def to_text(data: Mapping[str, Any]) -> str:
    """Return plain data as the text of a prompt file. Raises UserError if it is too large."""
    try:
        text = dump_file(data)
    except RecursionError:
        raise UserError("The prompt has an error: it is nested too deep.") from None
    if len(text.encode("utf-8", "surrogatepass")) > MAX_FILE:
        raise UserError(_TOO_LARGE)
    return text


class KeySpellings:
    """The spelling of the keys of all prompts and their folders."""

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._spelled: dict[str, str] = {}
        for key in keys:
            self.add(key)

    def add(self, key: str) -> None:
        """Add the key of a prompt."""
        self._spelled.update((part.casefold(), part) for part in _with_folders(key))

    def copy(self) -> KeySpellings:
        """Return an independent copy."""
        spellings = KeySpellings()
        spellings._spelled = dict(self._spelled)
        return spellings

    def refuse_other_case(self, key: str) -> None:
        """Raise ConflictError if `key` differs only by case from another one, as `Say` from `say`."""
        for part in _with_folders(key):
            if (known := self._spelled.get(part.casefold(), part)) != part:
                raise ConflictError(
                    f"'{known}' already exists, and '{part}' differs only by case. Choose another prompt ID.",
                    param="key",
                )


def new_path(directory: Path, key: str, spellings: KeySpellings) -> Path:
    """Return the path for a new prompt's file. Raises ConflictError if another file is in the way."""
    path = directory / f"{key}.yaml"
    spellings.refuse_other_case(key)
    for folder in path.relative_to(directory).parents:
        if folder.suffix in SUFFIXES:
            raise UserError(f"'{folder.name}' can't be the name of a folder. Choose another prompt ID.", param="key")
    for found in (directory / f"{key}{suffix}" for suffix in SUFFIXES):
        if found.exists() or found.is_symlink():
            shown = found.relative_to(directory.parent)
            raise ConflictError(f"The file {shown} already exists, without this prompt. Fix or move it.", param="key")
    return path


def write(directory: Path, path: Path, text: str) -> os.stat_result:
    """Write a prompt file and the folders that it needs. Return the status of the new file."""
    _refuse_links(directory, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return yaml_files.write(path, text)
    except OSError as error:
        raise _to_config_error(error, directory) from None
    finally:
        _remove_empty_folders(directory, path)


def remove(directory: Path, path: Path) -> None:
    """Delete a prompt file and the folders that become empty."""
    _refuse_links(directory, path)
    try:
        yaml_files.remove(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _to_config_error(error, directory) from None
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
            raise ConflictError(f"{shown} is a link. Change its prompts in the place it links to.", param="key")
    raise UserError("A prompt file must be in the directory of prompts.", param="key")


def _remove_empty_folders(directory: Path, path: Path) -> None:
    for folder in path.parents:
        if folder == directory:
            return
        try:
            folder.rmdir()
        except OSError:
            return


def _to_config_error(error: OSError, directory: Path) -> ConfigError:
    if error.errno in _NOT_WRITABLE:
        reason = "Herding has no permission to write here. Grant it, or set HERDING_PROMPTS to a writable directory"
    elif error.errno in _FULL:
        reason = "the disk is full and nothing was changed. Free some space and try again"
    else:
        reason = f"the file cannot be written and nothing was changed: {error.strerror}"
    return ConfigError(reason, file=directory.name)
