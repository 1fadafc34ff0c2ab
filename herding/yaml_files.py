"""Strict YAML files: into typed models, with file, line and key of whatever is wrong."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from herding.errors import ConfigError

MAX_BYTES = 1_000_000
"""Bytes of a file in UTF-8, and of a text that may become one."""

Location = Sequence[int | str]


class StrictModel(BaseModel):
    """A frozen model that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldError(ValueError):
    """A fault that a model finds at a place inside of it."""

    def __init__(self, message: str, *at: int | str) -> None:
        super().__init__(message)
        self.at = at


ModelT = TypeVar("ModelT", bound=StrictModel)


class _AliasError(Exception):
    """There is an alias; they can explode."""


_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z", re.ASCII)
_DECIMAL = re.compile(
    r"(?:[-+]?(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?\Z|[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z",
    re.ASCII,
)
_TAG = "tag:yaml.org,2002:"
_TEXTS = tuple(f"{_TAG}{kind}" for kind in ("int", "float", "timestamp", "value"))


class Loader(yaml.SafeLoader):
    """Reads a text without aliases. Numbers are as people write them; what else YAML of old takes for one is text.

    There, 12:30 is 750, 007 is 7, 1_000 is 1000, and 2024-01-31 a day.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _AliasError
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError):  # its own readers do not look before they read
            words = f"this is no {node.tag.rpartition(':')[2]}; put a text in quotes"
            raise yaml.constructor.ConstructorError(None, None, words, node.start_mark) from None


class _WordLoader(Loader):
    """Takes every word for a text: 12:30 is no number, and no is no truth."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, fits) for tag, fits in known if tag not in _TEXTS]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(f"{_TAG}int", _INTEGER, list("-+0123456789"))
Loader.add_implicit_resolver(f"{_TAG}float", _DECIMAL, list("-+.0123456789"))
_WordLoader.yaml_implicit_resolvers = {}


class YamlDocument:
    """One parsed YAML text: its plain data, the SHA-256 of it in hex, and the line of every place in it."""

    def __init__(self, text: str, *, file: str | Path | None = None, words: bool = False) -> None:
        """Parse `text`; ConfigError for broken YAML, duplicate keys, aliases and texts over `MAX_BYTES`.

        With `words` every value that is no list and no map is the text that is written.
        """
        self.file = file
        self._loader = _WordLoader if words else Loader
        content = text.encode("utf-8", "surrogatepass")
        self.digest = sha256(content).hexdigest()
        if len(content) > MAX_BYTES:
            raise ConfigError(f"the file is larger than {MAX_BYTES:,} bytes", file=file)
        try:
            self._root, self.data = self._read(text)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else None
            raise ConfigError(f"not valid YAML: {error.problem or error.context}", file=file, line=line) from None
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"not valid YAML: {error}", file=file) from None

    def _read(self, text: str) -> tuple[yaml.Node | None, Any]:
        """The nodes of a text and its data, read once."""
        loader = self._loader(text)
        try:
            root = loader.get_single_node()
            self._refuse_doubles(root)
            return root, None if root is None else loader.construct_document(root)
        except _AliasError:
            raise ConfigError("anchors and aliases are not allowed here", file=self.file) from None
        finally:
            loader.dispose()

    def _refuse_doubles(self, root: yaml.Node | None) -> None:
        """Refuse a key given twice, which YAML takes without a word."""
        for mapping in _mappings(root):
            seen: set[str] = set()
            for key, _ in mapping.value:
                line = key.start_mark.line + 1
                if not isinstance(key, yaml.ScalarNode):
                    raise ConfigError("a key is a plain word, not a list or a map", file=self.file, line=line)
                if key.value in seen:
                    raise ConfigError("this key is given twice", file=self.file, line=line, key=key.value)
                seen.add(key.value)

    def line(self, location: Location) -> int | None:
        """The line (from 1) of the deepest part of `location` that the text has; unknown parts are skipped."""
        node, line = self._root, None
        for part in location:
            key, child = _child(node, part)
            if child is None:
                continue
            node, line = child, (key or child).start_mark.line + 1
        return line

    def error(self, message: str, location: Location = ()) -> ConfigError:
        """A ConfigError at a place of this text."""
        known = [str(part) for part in location if part != "__root__"]
        return ConfigError(message, file=self.file, line=self.line(location), key=".".join(known) or None)

    def build(self, model: type[ModelT], data: Any = None, *, at: Location = ()) -> ModelT:
        """`data` (default: all) as a `model`; the first thing that is wrong becomes a ConfigError."""
        given = self.data if data is None else data
        if not isinstance(given, dict):
            raise self.error(f"expected keys and values, found {_kind(given)}", at)
        try:
            return model.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            cause = first.get("ctx", {}).get("error")
            loc = (*first["loc"], *(cause.at if isinstance(cause, FieldError) else ()))
            location = [*at, *_known(loc, given, lacks_last=first["type"] == "missing")]
            raise self.error(_words(first), location) from None


def read(path: Path, *, shown: Path | None = None) -> YamlDocument:
    """The YAML file at `path`; ConfigError (naming it `shown`) when it cannot be read, is too large or is not UTF-8."""
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
    """Replace a file's text, whole or not at all, durable on return; keeps its mode. Raises OSError; blocks.

    Gives the status of the file that holds this text, whoever else writes at the same moment.
    """
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    try:
        with open(handle, "wb") as file:  # noqa: PTH123 (a descriptor)
            file.write(text.encode())
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _settle(path.parent)
    return status


def remove(path: Path) -> None:
    """Delete a file, durable on return. Raises OSError; blocks."""
    path.unlink()
    _settle(path.parent)


def _settle(directory: Path) -> None:
    """Make a change of names in a directory durable."""
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


def _known(location: Location, data: Any, *, lacks_last: bool) -> list[int | str]:
    """`location` without what only the validator knows: names of union members, and its mark for a key."""
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


def _words(error: Any) -> str:
    """A validation error in words for whoever edits the file."""
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        return "this key is not known here"
    if error["type"] == "missing":
        return "this key is missing"
    return message[:1].lower() + message[1:]


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    return "a list" if isinstance(value, list) else "a text" if isinstance(value, str) else type(value).__name__
