"""A bundle of prompts: a zip of prompt files. Nothing of a zip is ever written to a disk by its name."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from herding import yaml_files
from herding.errors import ConfigError, UserError
from herding.prompts import legacy_format
from herding.prompts.key import is_key
from herding.prompts.saving import MAX_FILE, SUFFIXES

MAX_ZIP = 20_000_000
"""Bytes, as `MAX_TOTAL`."""

MAX_FILES = 5_000
MAX_TOTAL = 50_000_000
"""Bytes of all files of a bundle, unpacked."""

_OLDEST = (1980, 1, 1, 0, 0, 0)
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Found:
    """A prompt of a bundle in the words of its file, or why there is none."""

    key: str
    data: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


def pack(texts: Mapping[str, str]) -> bytes:
    """The texts of prompt files, by key, as a zip; equal texts make equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as bundle:
        for key, text in texts.items():
            entry = zipfile.ZipInfo(f"{key}.yaml", _OLDEST)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            bundle.writestr(entry, text)
    return buffer.getvalue()


def unpack(data: bytes) -> list[Found]:
    """The prompts of a zip; what is no YAML file is left out. UserError for a zip that is broken, large or hostile."""
    if len(data) > MAX_ZIP:
        raise _refused(f"it has more than {MAX_ZIP:,} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            entries = bundle.infolist()
            _refuse_hostile(entries)
            found: list[Found] = []
            for entry in entries:
                if not entry.is_dir() and entry.filename.endswith(SUFFIXES):
                    found += _prompts(entry.filename, _content(bundle, entry))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        raise _refused(f"it is no zip, or a broken one ({error})") from None
    return found


def _refuse_hostile(entries: list[zipfile.ZipInfo]) -> None:
    """Sizes here are what the zip claims; what it really holds is checked while it is read."""
    if len(entries) > MAX_FILES:
        raise _refused(f"it has more than {MAX_FILES:,} files")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL:
        raise _refused(f"its files have more than {MAX_TOTAL:,} bytes")
    names = [entry.filename for entry in entries]
    if len(set(names)) < len(names):
        raise _refused("it has two files of one name")
    for entry in entries:
        path = PurePosixPath(entry.orig_filename)
        if path.is_absolute() or ".." in path.parts or "\\" in entry.orig_filename or "\0" in entry.orig_filename:
            raise _refused(f"{entry.filename[:64]!r} leads out of it")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _refused(f"{entry.filename[:64]!r} is a link")
        if entry.flag_bits & 1 or entry.compress_type not in _METHODS:
            raise _refused(f"{entry.filename[:64]!r} is encrypted, or packed in a way that is not known here")


def _content(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a file, at most one more than a file may have."""
    with bundle.open(entry) as file:
        return file.read(MAX_FILE + 1)


def _prompts(name: str, content: bytes) -> Iterator[Found]:
    key = str(PurePosixPath(name).with_suffix(""))
    try:
        if len(content) > MAX_FILE:
            raise ConfigError(f"the file has more than {MAX_FILE:,} bytes")
        data = yaml_files.Source(content.decode("utf-8-sig")).data
        if not isinstance(data, dict):
            raise ConfigError("expected keys and values")
    except UnicodeDecodeError:
        yield Found(key, error="The file is not UTF-8 text.")
    except ConfigError as error:
        yield Found(key, error=f"The file is no prompt: {error}.")
    else:
        pairs = data.items() if legacy_format.is_collection(data) else [(key, data)]
        for inner, prompt in pairs:
            known = isinstance(inner, str) and is_key(inner)
            yield Found(inner, prompt) if known else Found(str(inner)[:200], error="This is no key for a prompt.")


def _refused(reason: str) -> UserError:
    return UserError(f"This bundle is not read: {reason}.", param="bundle")
