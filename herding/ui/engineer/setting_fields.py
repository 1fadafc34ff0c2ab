"""The fields of parameters and checks: what kind of value each takes, as text and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from herding.prompts.checks import Checks
from herding.prompts.parameters import PromptParameters
from herding.values import Parameters
from herding.yaml_files import StrictModel

Kind = Literal["number", "integer", "yes_no", "text", "lines", "json"]

_PLAIN: Mapping[Any, Kind] = {float: "number", int: "integer", bool: "yes_no", str: "text"}

PER_LINE = "one per line; \\n for a line break"


@dataclass(frozen=True, slots=True)
class SettingField:
    """One field; `info` says what to enter."""

    name: str
    kind: Kind
    info: str = ""

    def show(self, value: Any) -> str:
        """Return a value as the text of the field; empty for none."""
        if value is None or value == []:
            return ""
        if self.kind == "yes_no" and isinstance(value, bool):
            return "true" if value else "false"
        if self.kind == "lines" and isinstance(value, list) and all(isinstance(item, str) for item in value):
            return "\n".join(item.replace("\\", "\\\\").replace("\n", "\\n") for item in value)
        if isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, indent=2 if self.kind == "json" else None)

    def read(self, text: str, before: Any = None) -> Any:
        """Return the value of a text, None for an empty one.

        A text that stands for the value `before` is that value, and one that is no value of this kind stays a text,
        which the schema refuses.
        """
        text = text.replace("\r\n", "\n")
        if text == self.show(before).replace("\r\n", "\n"):
            return before
        if not text.strip() and self.kind != "text":
            return None
        match self.kind:
            case "number" | "integer":
                return _number(text.strip())
            case "yes_no":
                return text == "true"
            case "lines":
                return [_unescaped(line) for line in text.split("\n") if line]
            case "json":
                try:
                    return json.loads(text)
                except (ValueError, RecursionError):
                    return text
        return text or None


def _number(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _unescaped(line: str) -> str:
    r"""Return a line with `\n` as a line break and `\\` as a backslash."""
    return "\\".join(part.replace("\\n", "\n") for part in line.split("\\\\"))


def _kind(annotation: Any) -> Kind:
    given = [part for part in get_args(annotation) if part is not type(None)] or [annotation]
    if len(given) == 1 and given[0] in _PLAIN:
        return _PLAIN[given[0]]
    made = annotation if get_origin(annotation) is list else given[0] if len(given) == 1 else None
    if get_origin(made) is list:
        item = get_args(made)[0]
        item = get_args(item)[0] if get_origin(item) is Annotated else item
        return "lines" if item is str else "json"
    return "json"


def _field(name: str, found: FieldInfo) -> SettingField:
    kind, info = _kind(found.annotation), found.description or ""
    return SettingField(name, kind, f"{info}, {PER_LINE}" if info and kind == "lines" else info)


def _fields(model: type[StrictModel]) -> dict[str, SettingField]:
    return {name: _field(name, found) for name, found in model.model_fields.items()}


PARAMETERS = _fields(PromptParameters)
"""All parameters of a prompt, by name."""

COMMON_PARAMETERS = ("temperature", "max_tokens", "top_p", "top_k", "seed", "stop")
"""The parameters that most models take, which are shown first."""

CHECKS = _fields(Checks)
"""All checks of a prompt, by name."""


def changed_parameters(ran: Parameters, own: Parameters) -> dict[str, Any]:
    """Return the common parameters of a request that differ from a version's own."""
    found = {name: getattr(ran, name) for name in COMMON_PARAMETERS}
    changed = {name: value for name, value in found.items() if value not in (None, (), getattr(own, name))}
    return {name: list(value) if name == "stop" else value for name, value in changed.items()}
