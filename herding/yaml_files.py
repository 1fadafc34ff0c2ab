"""Reads YAML files strictly into typed models, and reports errors with file, line and key. Writes them atomically."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from herding.errors import ConfigError

MAX_BYTES = 1_000_000
"""Maximum size of a YAML text in UTF-8, in bytes."""

MAX_LINES, MAX_VALUES, MAX_LEVELS = 50_000, 20_000, 120
"""Bounds of the time that PyYAML needs: it is slow for many lines and values, and slower still for deep ones."""

_UNFINISHED = re.compile(r"\..+\.ya?ml\.[a-z0-9_]{8}\.new")

Location = Sequence[int | str]


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldError(ValueError):
    """An error of a model validator, with the path of the field in the model."""

    def __init__(self, message: str, *at: int | str) -> None:
        super().__init__(message)
        self.at = at


ModelT = TypeVar("ModelT", bound=StrictModel)


class _RefusedError(Exception):
    """The text has a part on `line` (from 1) that is YAML but is not accepted here."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.reason, self.line = reason, line


_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z", re.ASCII)
_DECIMAL = re.compile(
    r"(?:[-+]?(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?\Z|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z",
    re.ASCII,
)
_TAG = "tag:yaml.org,2002:"
_TEXTS = tuple(f"{_TAG}{kind}" for kind in ("int", "float", "timestamp", "value", "merge"))
_WITH_ANCHOR = "anchors and aliases are not allowed here; put quotes around a text that begins with '&' or '*'"
_TOO_DEEP = f"lists and maps can't be nested more than {MAX_LEVELS} levels deep"
_TOO_MANY = f"more than {MAX_VALUES:,} keys and values; split the file"
_MISREAD = re.compile(
    "block end|cannot start|not allowed here|for the tag|expected '|alphabetic or numeric|did not find expected"
)
_QUOTE_TEXT = "; put quotes around a text with special characters"


class Loader(yaml.SafeLoader):
    """Loads YAML without aliases, only decimal numbers as numbers, and every key as the text that it is.

    In YAML 1.1, 12:30 is 750, 007 is 7, 1_000 is 1000, 2024-01-31 a date and << a merge. Here they are texts, and so
    are the keys `on` and `no`.
    """

    values, levels = 0, 0

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= MAX_LEVELS:  # the scanner is far ahead of the composer
            raise _RefusedError(_TOO_DEEP, self.get_mark().line + 1)
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        swallowed = isinstance(event, yaml.ScalarEvent) and event.anchor is not None  # `&x y` would become `y`
        self.values += 1
        if swallowed or isinstance(event, yaml.AliasEvent):
            raise _RefusedError(_WITH_ANCHOR, event.start_mark.line + 1)
        if self.values > MAX_VALUES:
            raise _RefusedError(_TOO_MANY, event.start_mark.line + 1)
        if self.levels > MAX_LEVELS:
            raise _RefusedError(_TOO_DEEP, event.start_mark.line + 1)
        self.levels += 1
        node = super().compose_node(parent, index)
        self.levels -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        return {
            key.value if isinstance(key, yaml.ScalarNode) else self.construct_object(key, deep=True): (
                self.construct_object(value, deep=deep)
            )
            for key, value in node.value
        }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):  # PyYAML converts values without checking them
            message = f"this is not a valid {node.tag.rpartition(':')[2]}; put a text in quotes"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from None


class _TextLoader(Loader):
    """Loads every scalar as a text."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, fits) for tag, fits in known if tag not in _TEXTS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
Loader.add_implicit_resolver(f"{_TAG}float", _DECIMAL, list("-+.0123456789"))
_TextLoader.yaml_implicit_resolvers = {}


class YamlDocument:
    """A parsed YAML text with its plain `data`, its SHA-256 in hex (`digest`), and the lines of its values."""

    def __init__(self, text: str, *, file: str | Path | None = None, as_text: bool = False) -> None:
        """Parse `text`. Raises ConfigError for invalid YAML, duplicate keys, aliases, and texts that are too large.

        With `as_text`, every scalar is loaded as a text.
        """
        self.file = file
        self._text = text
        self._loader = _TextLoader if as_text else Loader
        content = text.encode("utf-8", "surrogatepass")
        self.digest = sha256(content).hexdigest()
        if len(content) > MAX_BYTES:
            raise ConfigError(f"the file is larger than {MAX_BYTES:,} bytes", file=file)
        if text.count("\n") > MAX_LINES:
            raise ConfigError(f"the file has more than {MAX_LINES:,} lines", file=file)
        try:
            self._root, self.data = self._read(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else None
            reason = error.problem or error.context or ""
            if _MISREAD.search(reason):
                reason += _QUOTE_TEXT
            raise ConfigError(f"not valid YAML: {reason}", file=file, line=line) from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"not valid YAML: {error}", file=file) from None

    def _read(self, text: str) -> tuple[yaml.Node | None, Any]:
        """Return the nodes of a text and its data."""
        loader = self._loader(text)
        try:
            root = loader.get_single_node()
            self._refuse_duplicates(root)
            return root, None if root is None else loader.construct_document(root)
        except _RefusedError as error:
            raise ConfigError(error.reason, file=self.file, line=error.line) from None
        finally:
            loader.dispose()

    def _refuse_duplicates(self, root: yaml.Node | None) -> None:
        """Refuse duplicate keys, which PyYAML accepts."""
        for mapping in _mappings(root):
            seen: set[str] = set()
            for key, _ in mapping.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    message = "a key must be a word, not a list or a map; put quotes around a text with braces"
                    raise ConfigError(message, file=self.file, line=line)
                if key.value in seen:
                    raise ConfigError("this key is given twice", file=self.file, line=line, key=key.value)
                seen.add(key.value)

    def line(self, location: Location) -> int | None:
        """Return the line (from 1) of the deepest part of `location` that exists. Unknown parts are skipped."""
        node, line = self._root, None
        for part in location:
            key, child = _child(node, part)
            if child is None:
                continue
            node, line = child, (key or child).start_mark.line + 1
        return line

    def error(self, message: str, location: Location = ()) -> ConfigError:
        """Return a ConfigError for a location in this text."""
        known = [str(part) for part in location if part != "__root__"]
        return ConfigError(message, file=self.file, line=self.line(location), key=".".join(known) or None)

    def build(
        self, model: type[ModelT], data: Any = None, *, at: Location = (), numbers_as_written: bool = True
    ) -> ModelT:
        """Return `data` (default: all) as a `model`. Raises ConfigError for the first error.

        With `numbers_as_written`, a number that stands for a text is the characters of the file.
        """
        given = self.data if data is None else data
        if not isinstance(given, dict):
            raise self.error(f"expected keys and values, found {_describe_type(given)}", at)
        try:
            return model.model_validate(given)
        except ValidationError as error:
            with_texts = self._with_written_texts(given, error, at) if numbers_as_written else None
            if with_texts is None:
                raise self._field_error(error, given, at, advise_quotes=numbers_as_written) from None
        try:
            return model.model_validate(with_texts)
        except ValidationError as error:
            raise self._field_error(error, with_texts, at, advise_quotes=True) from None

    @cached_property
    def texts(self) -> Any:
        """The data with every scalar as the characters of the file: `1.10` is a text here, and so is `no`."""
        return self.data if self._loader is _TextLoader else YamlDocument(self._text, as_text=True).data

    def written(self, location: Location) -> str | None:
        """Return the characters of the scalar at a location; None if there is none."""
        data = self.texts
        for part in location:
            in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
            if not in_list and not (isinstance(data, dict) and part in data):
                return None
            data = data[part]
        return data if isinstance(data, str) else None

    def data_as_written(self, location: Location) -> Any:
        """Return the data at a location, with the characters of the file for the numbers in it."""
        data, texts = self.data, self.texts
        for part in location:
            if not isinstance(data, dict | list) or (isinstance(data, dict) and part not in data):
                return None
            data, texts = data[part], texts[part]  # type: ignore[index]
        return _as_written(data, texts)

    def quotes_error(self, value: bool | None, location: Location) -> ConfigError:
        """Return the error for a text that YAML reads as a boolean or as nothing."""
        written = self.written(location)
        if not written:
            return self.error("this key has no value", location)
        meaning = "nothing" if value is None else str(value).lower()
        return self.error(f'YAML reads {written} as {meaning}; put quotes around it: "{written}"', location)

    def _with_written_texts(self, given: dict[str, Any], error: ValidationError, at: Location) -> Any:
        """Return a copy of data with characters of the file where a number stands for a text; None without any.

        YAML knows no schema: for a text such as a version, it has read 1.10 as the number 1.1.
        """
        replaced = None
        for fault in error.errors(include_url=False, include_context=False):
            path = _path_to_scalar(fault["loc"], given) if fault["type"] == "string_type" else []
            written = self.written([*at, *path]) if path and _is_number(fault["input"]) else None
            if written is not None:
                replaced = _with_value(given if replaced is None else replaced, path, written)
        return replaced

    def _field_error(self, error: ValidationError, given: Any, at: Location, *, advise_quotes: bool) -> ConfigError:
        """Return the first error of a validation."""
        first = error.errors(include_url=False)[0]
        misread = first["type"] == "string_type" and (first["input"] is None or isinstance(first["input"], bool))
        if misread and advise_quotes:
            return self.quotes_error(first["input"], [*at, *_path_to_scalar(first["loc"], given)])
        cause = first.get("ctx", {}).get("error")
        loc = (*first["loc"], *(cause.at if isinstance(cause, FieldError) else ()))
        location = [*at, *_to_path(loc, given, lacks_last=first["type"] == "missing")]
        return self.error(_to_message(first), location)


def read(path: Path, *, shown: Path | None = None) -> YamlDocument:
    """Read the YAML file at `path`. Raises ConfigError, with the path `shown`, if it is unreadable or too large."""
    name = shown or path
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the file cannot be read: {error.strerror}", file=name) from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"the file is larger than {MAX_BYTES:,} bytes", file=name)
    try:
        return YamlDocument(content.decode("utf-8-sig"), file=name)
    except UnicodeDecodeError:
        raise ConfigError("the file is not UTF-8 text", file=name) from None


def write(path: Path, text: str) -> os.stat_result:
    """Replace a file's text atomically and keep its mode. Durable on return. Raises OSError. Blocks.

    Returns the status of the new file, even if another process replaces it at once.
    """
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor)
            with contextlib.suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            file.write(text.encode())
            file.flush()
            os.fchmod(handle, mode)
            os.fsync(handle)
            status = os.fstat(handle)
            Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)
    return status


def remove_unfinished(paths: Iterable[Path]) -> None:
    """Delete those of the files that a killed process left in the midst of `write`. Blocks.

    A file that is being written is locked by its process, and stays.
    """
    for path in paths:
        if _UNFINISHED.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            with contextlib.suppress(OSError), path.open("rb+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def remove(path: Path) -> None:
    """Delete a file. Durable on return. Raises OSError. Blocks."""
    path.unlink()
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    """Make changes of names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mappings(node: yaml.Node | None) -> Iterator[yaml.MappingNode]:
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _mappings(value)


def _child(node: yaml.Node | None, part: int | str) -> tuple[yaml.Node | None, yaml.Node | None]:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return None, node.value[part]
    return None, None


def _to_path(location: Location, data: Any, *, lacks_last: bool) -> list[int | str]:
    """Return `location` without the parts that pydantic adds for union members and keys."""
    path: list[int | str] = []
    for position, part in enumerate(location):
        missing = lacks_last and position == len(location) - 1
        if part == "[key]" or (isinstance(data, dict) and part not in data and not missing):
            continue
        path.append(part)
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return path


def _path_to_scalar(location: Location, data: Any) -> list[int | str]:
    """Return the path of the value at a location of pydantic, without the names of union members and keys."""
    path: list[int | str] = []
    for part in location:
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int)
        if inside:
            path.append(part)
            data = data[part]
    return path


def _with_value(data: Any, path: Location, value: str) -> Any:
    """Return a copy of data with another value at a path."""
    if not path:
        return value
    copy = data.copy()
    copy[path[0]] = _with_value(data[path[0]], path[1:], value)
    return copy


def _as_written(data: Any, texts: Any) -> Any:
    if isinstance(data, dict):
        return {key: _as_written(value, texts[key]) for key, value in data.items()}
    if isinstance(data, list):
        return [_as_written(value, text) for value, text in zip(data, texts, strict=True)]
    return texts if _is_number(data) else data


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _to_message(error: Any) -> str:
    """Return the message of a validation error for the editor of a file."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "string_type" and isinstance(error["input"], dict | list):
        return f"expected a string, found {_describe_type(error['input'])}{_QUOTE_TEXT}"
    if error["type"] == "extra_forbidden":
        return "this key is not known here"
    if error["type"] == "missing":
        return "this key is missing"
    return message[:1].lower() + message[1:]


def _describe_type(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else type(value).__name__
