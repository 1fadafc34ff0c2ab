"""The form for a prompt's variables: a fixed pool of fields that adapts to the selected prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import gradio as gr
import yaml

from herding.errors import ConfigError, UserError
from herding.ui.kit.format import format_value
from herding.yaml_files import YamlDocument

FIELD_COUNT = 16
COMPONENTS_PER_FIELD = 3
LONG_TEXT = 60
UNSET = "– select –"
KINDS = ("text", "choice", "boolean")
UNKNOWN_SHAPE = ("any",) * FIELD_COUNT

Variables = Mapping[str, Mapping[str, Any]]


@dataclass
class VariableField:
    """One field of the form; only the component for the variable's type is visible."""

    text: gr.Textbox
    choice: gr.Dropdown
    boolean: gr.Checkbox

    @property
    def components(self) -> list[Any]:
        return [self.text, self.choice, self.boolean]


class VariableForm:
    """Fields for the first variables, and a YAML editor for those beyond the pool.

    `name` is the prefix of the fields' ids, unique on the page.
    """

    def __init__(self, name: str = "var") -> None:
        self._fields = [_field(f"{name}-{number}") for number in range(FIELD_COUNT)]
        self._rest = gr.Code(
            language="yaml",
            label="More variables (name: value)",
            interactive=True,
            visible=False,
            elem_id=f"{name}-rest",
        )

    @property
    def components(self) -> list[Any]:
        """All components, as inputs and outputs of events."""
        return [component for field in self._fields for component in field.components] + [self._rest]

    @property
    def choice_events(self) -> list[Any]:
        """The events of the fields that are not typed into."""
        return [component.input for field in self._fields for component in (field.choice, field.boolean)]

    def shape(self, variables: Variables) -> tuple[str, ...]:
        """Return the visible component of each field: `text`, `choice` or `boolean`."""
        kinds = (variable["type"] for variable in list(variables.values())[:FIELD_COUNT])
        return tuple(kind if kind in ("choice", "boolean") else "text" for kind in kinds)

    def show(
        self,
        variables: Variables,
        values: Mapping[str, Any],
        *,
        before: Sequence[str] | None = (),
        errors: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Any]:
        """Return the updates of `components`: the variables with their `values`, else their defaults.

        before: the current shape of the form, None if unknown; components that stay hidden are skipped.
        errors: the error of each variable, by name.
        """
        held = {name: values.get(name, initial_value(variable)) for name, variable in variables.items()}
        fields = [
            _field_update(name, variables[name], held[name]) | _message(variables[name], errors.get(name))
            for name in list(variables)[:FIELD_COUNT]
        ]
        updates = []
        shapes = (UNKNOWN_SHAPE if before is None else before, self.shape(variables), fields)
        for was, now, field in zip_longest(*shapes, fillvalue=""):
            hidden = [gr.update(visible=False) if was in (kind, "any") else gr.skip() for kind in KINDS]
            updates += [field if kind == now else hide for kind, hide in zip(KINDS, hidden, strict=True)]
        updates += [gr.skip()] * (COMPONENTS_PER_FIELD * FIELD_COUNT - len(updates))
        rest = {name: held[name] for name in list(variables)[FIELD_COUNT:]}
        text = yaml.safe_dump(rest, allow_unicode=True, sort_keys=False) if rest else ""
        return [*updates, gr.update(value=text, visible=bool(rest))]

    def show_errors(self, variables: Variables, errors: Mapping[str, str], before: Mapping[str, str]) -> list[Any]:
        """Return the updates of `components` whose error differs from the one `before`."""
        updates: list[Any] = []
        for name, kind in zip(list(variables)[:FIELD_COUNT], self.shape(variables), strict=True):
            changed = errors.get(name) != before.get(name)
            message = gr.update(**_message(variables[name], errors.get(name))) if changed else gr.skip()
            updates += [message if kind == field else gr.skip() for field in KINDS]
        return updates + [gr.skip()] * (COMPONENTS_PER_FIELD * FIELD_COUNT - len(updates) + 1)

    def read(self, variables: Variables, given: Sequence[Any], *, strict: bool = False) -> dict[str, Any]:
        """Return the values in the form by name; UserError if the YAML is invalid and `strict`."""
        values: dict[str, Any] = {}
        for number, (name, variable) in enumerate(list(variables.items())[:FIELD_COUNT]):
            start = number * COMPONENTS_PER_FIELD
            text, choice, boolean = given[start : start + COMPONENTS_PER_FIELD]
            kind = variable["type"]
            values[name] = bool(boolean) if kind == "boolean" else (choice if kind == "choice" else text) or ""
        if len(variables) <= FIELD_COUNT:
            return values
        rest = _parse_rest(given[-1], strict=strict)
        return values | {name: _typed_value(variables.get(name), value) for name, value in rest.items()}


def initial_value(variable: Mapping[str, Any]) -> Any:
    """Return the value of an untouched field: the default, else empty."""
    default = variable.get("default")
    return bool(default) if variable["type"] == "boolean" else format_value(default)


def help_text(variable: Mapping[str, Any]) -> str:
    """Return what to enter for a variable."""
    parts = [str(variable.get("description") or ""), _limits(variable)]
    if source := variable.get("source"):
        return " · ".join(part for part in (*parts, f"Filled by {source} if empty") if part)
    optional = variable.get("required") is False and variable.get("default") in (None, "")
    return " · ".join(part for part in (*parts, "Optional" if optional else "") if part)


def _limits(variable: Mapping[str, Any]) -> str:
    low, high = variable.get("min"), variable.get("max")
    bounds = ""
    if low is not None and high is not None:
        bounds = f" from {format_value(low)} to {format_value(high)}"
    elif low is not None or high is not None:
        bounds = f", min {format_value(low)}" if low is not None else f", max {format_value(high)}"
    match variable["type"]:
        case "number":
            return f"Number{bounds}"
        case "integer":
            return f"Whole number{bounds}"
        case "number_list":
            return f"Comma-separated numbers{bounds}"
        case "text" if variable.get("max_chars", 0) < 100_000:
            return f"Max {variable['max_chars']:,} characters"
    return ""


def _field(name: str) -> VariableField:
    return VariableField(
        text=gr.Textbox(visible=False, interactive=True, elem_id=name, elem_classes=["variable"]),
        choice=gr.Dropdown([], visible=False, interactive=True, elem_id=f"{name}-choice"),
        boolean=gr.Checkbox(visible=False, interactive=True, elem_id=f"{name}-boolean"),
    )


def _field_update(name: str, variable: Mapping[str, Any], value: Any) -> dict[str, Any]:
    """Return the update that shows a variable in a field."""
    shown: dict[str, Any] = {"label": name, "visible": True}
    match variable["type"]:
        case "boolean":
            return gr.update(value=bool(value), **shown)
        case "choice":
            choices = [(option, option) for option in variable["choices"]]
            if variable.get("default") is None:
                choices = [(UNSET, ""), *choices]
            selected = value if value in [option for _, option in choices] else choices[0][1]
            return gr.update(choices=choices, value=selected, **shown)
        case "text":
            return gr.update(value=str(value), lines=_lines(variable, value), max_lines=14, **shown)
        case _:
            return gr.update(value=format_value(value), lines=1, max_lines=1, **shown)


def _message(variable: Mapping[str, Any], error: str | None) -> dict[str, Any]:
    """Return the help text below a field, or its error."""
    if error is None:
        return {"info": help_text(variable), "elem_classes": ["variable"]}
    return {"info": f"⚠ {error[:1].upper()}{error[1:].rstrip('.')}.", "elem_classes": ["variable", "faulty"]}


def _lines(variable: Mapping[str, Any], value: Any) -> int:
    multiline = variable.get("max_chars", 0) > 300 or "\n" in str(value)
    return 3 if multiline and len(str(value)) > LONG_TEXT else 2 if multiline else 1


def _parse_rest(text: str | None, *, strict: bool) -> dict[str, Any]:
    """Return the variables in the YAML editor, every value as it was typed."""
    try:
        data = YamlDocument(text or "{}", as_text=True).data
    except ConfigError:
        data = None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        if strict:
            raise UserError('Fix "More variables": enter one "name: value" per line.', param="variables")
        return {}
    return data


def _typed_value(variable: Mapping[str, Any] | None, value: Any) -> Any:
    """Return a value of the YAML editor with the type of its variable."""
    if variable and variable["type"] == "boolean" and value in ("true", "false"):
        return value == "true"
    return value
