"""Prompts as YAML: read from a file, which may hold several, or from an editor, and written back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from herding import yaml_files
from herding.errors import ConfigError, UserError, VariableError
from herding.prompts import legacy_format
from herding.prompts.model import KEY, Body, Prompt
from herding.prompts.variables import clean
from herding.prompts.yaml_dump import dump_file
from herding.prompts.yaml_merge import is_same, merge_text, normalize_newlines, restore_spelling


@dataclass(frozen=True, slots=True)
class LoadedPrompt:
    """A prompt with its file. `notes` list the parts of the file that have no effect.

    `shared` is true if the file holds several prompts. `digest` is the SHA-256 of the file's text in hex, or of this
    prompt's part of it.
    """

    key: str
    prompt: Prompt
    file: Path
    notes: tuple[str, ...] = ()
    shared: bool = False
    digest: str = ""


def read(source: yaml_files.YamlDocument, path: Path, key: str) -> list[LoadedPrompt]:
    """Return the prompts of a file: one with this `key`, or several under their own keys.

    Raises ConfigError with the line and the key of an error.
    """
    if legacy_format.is_collection(source.data):
        return [build(source, path, name, at=(name,)) for name in source.data]
    return [build(source, path, key)]


def build(
    source: yaml_files.YamlDocument,
    path: Path,
    key: str,
    at: yaml_files.Location = (),
    *,
    numbers_as_written: bool = True,
) -> LoadedPrompt:
    """Return the prompt in `source`, or in its part at the path `at`.

    `numbers_as_written` is for a text that a person wrote: a number that stands for a text is their characters.
    """
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise source.error(f"'{key}' is not a valid prompt ID: use letters, digits, '_', '-', '.' and '/'", at)
    data = source.data[key] if at else source.data
    if not isinstance(data, dict):
        raise source.error("expected keys and values", at)
    _refuse_unstorable_texts(source, data, at)
    try:
        modern, notes = legacy_format.convert(data, source.texts[key] if at else source.texts)
    except yaml_files.FieldError as error:
        raise source.error(str(error), (*at, *error.at)) from None
    if numbers_as_written and isinstance(modern.get("variables"), dict):
        modern["variables"] = _with_written_defaults(source, modern["variables"], (*at, "variables"))
    prompt = source.build(Prompt, modern, at=at, numbers_as_written=numbers_as_written)
    return LoadedPrompt(key, prompt, path, tuple(notes), shared=bool(at), digest=_digest(data) if at else source.digest)


def _with_written_defaults(
    source: yaml_files.YamlDocument, variables: dict[str, Any], at: yaml_files.Location
) -> dict[str, Any]:
    """Return variables with the characters of the file as the defaults of texts and choices: 1.10 is not 1.1 there."""
    made = dict(variables)
    for name, variable in variables.items():
        if not isinstance(variable, dict) or variable.get("type", "text") not in ("text", "choice"):
            continue
        default, place = variable.get("default"), (*at, name, "default")
        if isinstance(default, bool):
            raise source.quotes_error(default, place)
        if isinstance(default, int | float) and (written := source.written(place)) is not None:
            made[name] = variable | {"default": written}
    return made


def _digest(data: Any) -> str:
    return sha256(json.dumps(data, sort_keys=True, default=str).encode()).hexdigest()


def _refuse_unstorable_texts(source: yaml_files.YamlDocument, data: Any, at: yaml_files.Location) -> None:
    """Refuse texts that cannot be stored or sent."""
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
    """Return `prompt` with the body that `text` holds as YAML (`messages`, `prompt`, `variants`). Raises UserError."""
    try:
        return prompt.with_body(yaml_files.YamlDocument(text).build(Body))
    except ConfigError as error:
        raise UserError(f"The template has an error{_describe(error)}", param="template") from None
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise UserError(f"The template has an error: {message}.", param="template") from None


def parse_prompt(key: str, text: str) -> Prompt:
    """Return the prompt that `text` holds as the YAML of a file. Raises UserError with the line and the key."""
    try:
        return build(yaml_files.YamlDocument(text), Path(f"{key}.yaml"), key).prompt
    except ConfigError as error:
        raise UserError(f"The prompt has an error{_describe(error)}", param=error.key or "whole") from None


def _describe(error: ConfigError) -> str:
    """Return the line, the key and the reason of an error, to follow a sentence."""
    line = f" (line {error.line})" if error.line else ""
    key = f"{error.key}: " if error.key else ""
    return f"{line}: {key}{error.reason}."


def update_text(text: str, file: Path, known: Prompt, data: dict[str, Any]) -> str:
    """Return `text`, the YAML of the prompt `known`, changed only where `data` differs from it."""
    source = yaml_files.YamlDocument(text, file=file)
    spelled = restore_spelling(source.data, known.file_data, data)
    exact = restore_spelling(source.data, known.file_data, data, source.texts)
    if is_same(exact, spelled):
        return merge_text(text, spelled)
    made = merge_text(text, exact)  # keeps 1.10 without quotes, unless a change around it would write it as 1.1
    same = _meaning(made) == _meaning(dump_file(data))
    return made if same else merge_text(text, spelled)


def _meaning(text: str) -> dict[str, Any]:
    return build(yaml_files.YamlDocument(text), Path("prompt.yaml"), "prompt").prompt.file_data


def rewrite_text(key: str, text: str, data: Mapping[str, Any]) -> str:
    """Return `text`, the YAML of a prompt, changed only where `data` differs from it. Raises ConfigError."""
    file = Path(f"{key}.yaml")
    return update_text(text, file, build(yaml_files.YamlDocument(text), file, key).prompt, dict(data))


def is_plain_dump(text: str) -> bool:
    """Return whether a text is exactly what `dump_file` writes, without comments or a layout of its own."""
    return normalize_newlines(text).strip() == dump_file(yaml_files.YamlDocument(text).data).strip()
