"""Prompts out of YAML: of a file, which may hold several, and of what somebody has in an editor."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from herding import yaml_files
from herding.errors import ConfigError, UserError, VariableError
from herding.prompts import legacy_format
from herding.prompts.key import KEY
from herding.prompts.model import Body, Prompt
from herding.prompts.variables import clean

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


def read(source: yaml_files.Source, path: Path, key: str) -> list[Loaded]:
    """The prompts of a file: the one that is called `key`, or several that stand under keys of their own.

    ConfigError names the line and the key of what is wrong.
    """
    if legacy_format.is_collection(source.data):
        return [build(source, path, name, at=(name,)) for name in source.data]
    return [build(source, path, key)]


def build(source: yaml_files.Source, path: Path, key: str, at: yaml_files.Location = ()) -> Loaded:
    """The prompt that stands in `source`, or `at` a place in it."""
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise source.error(f"'{key}' is no key for a prompt: use letters, digits, '_', '-', '.' and '/'", at)
    data = source.data[key] if at else source.data
    if not isinstance(data, dict):
        raise source.error("expected keys and values", at)
    _refuse_odd_characters(source, data, at)
    try:
        modern, notes = legacy_format.modernise(data)
    except yaml_files.PlacedError as error:
        raise source.error(str(error), (*at, *error.at)) from None
    prompt = source.build(Prompt, modern, at=at)
    for note in notes:
        log.info("%s: %s", path, note)
    return Loaded(key, prompt, path, tuple(notes), shared=bool(at), digest=_digest(data) if at else source.digest)


def _digest(data: Any) -> str:
    return sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()


def _refuse_odd_characters(source: yaml_files.Source, data: Any, at: yaml_files.Location) -> None:
    """Refuse texts that can be neither stored nor sent."""
    left: list[tuple[yaml_files.Location, Any]] = [(at, data)]
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
        return prompt.with_body(yaml_files.Source(text).build(Body))
    except ConfigError as error:
        raise UserError(f"The edited template is not usable{_told(error)}", param="template") from None
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UserError(f"The edited template is not usable: {message}.", param="template") from None


def parse_prompt(key: str, text: str) -> Prompt:
    """The prompt that an editor holds whole, as the YAML of a file; UserError names the line and the key at fault."""
    try:
        return build(yaml_files.Source(text), Path(f"{key}.yaml"), key).prompt
    except ConfigError as error:
        raise UserError(f"This is no prompt yet{_told(error)}", param=error.key or "whole") from None


def _told(error: ConfigError) -> str:
    """Where a text is wrong, and how."""
    line = f" (line {error.line})" if error.line else ""
    key = f"{error.key}: " if error.key else ""
    return f"{line}: {key}{error.reason}."
