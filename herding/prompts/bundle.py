"""Bundles: zip files of prompt files. They are read in memory, and names in them are never used as paths."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from herding import yaml_files
from herding.errors import ConfigError, UserError
from herding.prompts import legacy_format, prompt_file
from herding.prompts.directory import MAX_FILE, SUFFIXES
from herding.prompts.model import is_key

MAX_ZIP = 20_000_000
"""Maximum size of a bundle, in bytes."""

MAX_FILES = 5_000
MAX_TOTAL = 50_000_000
"""Maximum size of all files of a bundle after unpacking, in bytes."""

_OLDEST = (1980, 1, 1, 0, 0, 0)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class BundleEntry:
    """A prompt of a bundle: the data of its file, or the error in it."""

    key: str
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def pack(texts: Mapping[str, str]) -> bytes:
    """Return prompt files, given as texts by key, as a zip. Equal texts give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for key, text in texts.items():
            entry = zipfile.ZipInfo(f"{key}.yaml", _OLDEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            bundle.writestr(entry, text)
    return buffer.getvalue()


def unpack(data: bytes) -> list[BundleEntry]:
    """Return the prompts of a zip. Raises UserError if it is broken, too large or hostile."""
    if len(data) > MAX_ZIP:
        raise _error(f"it is larger than {MAX_ZIP:,} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            entries = bundle.infolist()
            _refuse_hostile(entries)
            found: list[BundleEntry] = []
            for entry in entries:
                if not entry.is_dir() and entry.filename.endswith(SUFFIXES) and not _is_foreign(entry.filename):
                    found += _prompts(entry.filename, _content(bundle, entry))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _error(f"it is not a valid zip file ({error})") from None
    return found


def _is_foreign(name: str) -> bool:
    """Return whether a file belongs to other programs, as hidden ones do and those that macOS adds to a zip."""
    return any(part.startswith((".", "__MACOSX")) and part != "." for part in name.split("/"))


def _refuse_hostile(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse dangerous entries. Sizes are only what the zip claims; real sizes are checked while reading."""
    if len(entries) > MAX_FILES:
        raise _error(f"it has more than {MAX_FILES:,} files")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL:
        raise _error(f"its files are larger than {MAX_TOTAL:,} bytes")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise _error("two files in it have the same name")
    for entry in entries:
        path = PurePosixPath(entry.orig_filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.orig_filename or "\0" in entry.orig_filename:
            raise _error(f"{entry.filename[:64]!r} points outside of it")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _error(f"{entry.filename[:64]!r} is a link")
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise _error(f"{entry.filename[:64]!r} is encrypted or uses an unsupported compression")


def _content(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return the content of a file, cut one byte after the maximum size."""
    with bundle.open(entry) as file:
        return file.read(MAX_FILE + 1)


def _prompts(name: str, content: bytes) -> Iterator[BundleEntry]:
    key = str(PurePosixPath(name).with_suffix(""))
    try:
        if len(content) > MAX_FILE:
            raise ConfigError(f"the file is larger than {MAX_FILE:,} bytes")
        source = yaml_files.YamlDocument(content.decode("utf-8-sig"))
        if not isinstance(source.data, dict):
            raise ConfigError("expected keys and values")
    except UnicodeDecodeError:
        yield BundleEntry(key, error="The file is not UTF-8 text.")
    except ConfigError as error:
        yield BundleEntry(key, error=f"The file has an error: {error}.")
    else:
        several = legacy_format.is_collection(source.data)
        for inner in source.data if several else [key]:
            if not is_key(inner):
                yield BundleEntry(inner[:200], error="This is not a valid prompt ID.")
                continue
            try:
                found = prompt_file.build(source, Path(name), inner, (inner,) if several else ())
                yield BundleEntry(inner, found.prompt.file_data)
            except ConfigError as error:
                yield BundleEntry(inner, error=f"The file has an error: {error}.")


def _error(reason: str) -> UserError:
    return UserError(f"Can't import this bundle: {reason}.", param="bundle")
