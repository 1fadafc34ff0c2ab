"""Finds the field of the form that an error belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from herding.errors import ConfigError, HerdingError, VariableError
from herding.prompts.prompt_file import build
from herding.prompts.variables import find_errors_async
from herding.ui.engineer.form import EditedPrompt
from herding.ui.engineer.form_data import read_apart
from herding.ui.engineer.setting_fields import CHECKS, PARAMETERS
from herding.yaml_files import YamlDocument

_OF_DEFINITIONS = ("type", "description", "default", "required", "choices", "min", "max", "max_chars", "pattern")


async def find_errors(edited: EditedPrompt) -> tuple[dict[str, str], str]:
    """Return the errors by the names of their fields, and one that belongs to no field (empty: none)."""
    values = {name: value for name, value in edited.values.items() if name in edited.prompt.variables}
    found = await find_errors_async(edited.prompt.variables, values)
    errors = {f"var.{name}": sentence(message) for name, message in found.items()}
    if edited.error is None:
        return errors, ""
    error = edited.error
    name, message = await read_apart(edited.text, lambda: _place(edited, error))
    if name:
        return errors | {name: message}, ""
    return errors, message


def field_of_value(error: HerdingError) -> str:
    """Return the field of the variable whose value a request was refused for; empty for any other error."""
    return f"var.{error.param}" if isinstance(error, VariableError) and error.param else ""


def sentence(text: str) -> str:
    """Return a message as a sentence."""
    text = text.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _place(edited: EditedPrompt, error: HerdingError) -> tuple[str, str]:
    """Return the field of an error, empty if none shows it, and its message."""
    if field := field_of_value(error):
        return field, error.message
    try:
        build(YamlDocument(edited.text), Path(f"{edited.key}.yaml"), edited.key)
    except ConfigError as found:
        line = f"Line {found.line}: " if found.line and edited.way == "yaml" else ""
        key = f"{found.key}: " if found.key else ""
        if edited.way == "yaml":
            return "yaml", f"{line}{key}{found.reason}."
        field = field_of(found.key or "", edited.data or {}, found.reason)
        return field, sentence(found.reason) if field else sentence(f"{key}{found.reason}")
    return "", error.message


def field_of(key: str, data: Mapping[str, Any], reason: str = "") -> str:
    """Return the field of a key of a prompt file such as `parameters.temperature`; empty without one."""
    first, *rest = key.split(".")
    match first:
        case "parameters" if rest and rest[0] in PARAMETERS:
            return f"param.{rest[0]}"
        case "checks" if rest and rest[0] in CHECKS:
            return f"check.{rest[0]}"
        case "variables" if rest and rest[0] in (data.get("variables") or {}):
            last = next((part for part in reversed(rest[1:]) if part in _OF_DEFINITIONS), "")
            other = "default" if reason.startswith("the default") else "min" if reason.startswith("min") else "type"
            return f"def.{rest[0]}.{last or other}"
        case "messages":
            return f"{first}.{rest[0]}.{rest[1]}" if len(rest) > 1 else first
        case "prompt":
            return "prompt_text"
        case "variants" if rest:
            return _field_of_variant(rest)
        case "target_models":
            return "target"
        case "name" | "description" | "tags" | "chat":
            return f"about.{first}"
    return ""


def _field_of_variant(key: list[str]) -> str:
    """Return the field of a key below `variants`, such as `0.messages.1.content`."""
    number, *rest = key
    match rest:
        case ["name" | "when" as part, *_]:
            return f"variants.{number}.{part}"
        case ["prompt", *_]:
            return f"variants.{number}.prompt_text"
        case ["messages", message, part, *_]:
            return f"variants.{number}.messages.{message}.{part}"
    return f"variants.{number}.messages"
