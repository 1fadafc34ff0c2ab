"""The form of a prompt's variables: a fixed pool of fields that takes the shape of whichever prompt is chosen."""

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
LONG = 60
UNSET = "– choose –"
KINDS = ("text", "choice", "boolean")
UNKNOWN = ("any",) * FIELD_COUNT

Variables = Mapping[str, Mapping[str, Any]]


@dataclass
class VariableField:
    """One place of the form; the kind of the variable decides which of its fields is seen."""

    text: gr.Textbox
    choice: gr.Dropdown
    boolean: gr.Checkbox

    @property
    def fields(self) -> list[Any]:
        return [self.text, self.choice, self.boolean]


class VariableForm:
    """Fields for the first variables, and one editor of YAML for those above the pool's size.

    `name` is the beginning of the fields' ids, which must differ on one page.
    """

    def __init__(self, name: str = "var") -> None:
        self._slots = [_slot(f"{name}-{number}") for number in range(FIELD_COUNT)]
        self._rest = gr.Code(
            language="yaml",
            label="More variables (name: value)",
            interactive=True,
            visible=False,
            elem_id=f"{name}-rest",
        )

    @property
    def components(self) -> list[Any]:
        """All fields, as inputs and outputs of events."""
        return [field for slot in self._slots for field in slot.fields] + [self._rest]

    @property
    def choices(self) -> list[Any]:
        """The triggers of fields in which nothing is typed."""
        return [field.input for slot in self._slots for field in (slot.choice, slot.boolean)]

    def shape(self, variables: Variables) -> tuple[str, ...]:
        """Which field of each slot these variables show: `text`, `choice` or `boolean`."""
        kinds = (variable["type"] for variable in list(variables.values())[:FIELD_COUNT])
        return tuple(kind if kind in ("choice", "boolean") else "text" for kind in kinds)

    def show(
        self,
        variables: Variables,
        values: Mapping[str, Any],
        *,
        before: Sequence[str] | None = (),
        wrong: Mapping[str, str] = MappingProxyType({}),
    ) -> list[Any]:
        """Updates of `components`: the fields of these variables, holding `values`, else the defaults.

        `before` is the shape that the form has, None if unknown; what is out of permissions and stays so costs nothing.
        `wrong` says what is wrong with the values, by name.
        """
        given = {name: values.get(name, initial_value(variable)) for name, variable in variables.items()}
        faces = [
            _face(name, variables[name], given[name]) | _told(variables[name], wrong.get(name))
            for name in list(variables)[:FIELD_COUNT]
        ]
        updates = []
        shapes = (UNKNOWN if before is None else before, self.shape(variables), faces)
        for was, now, face in zip_longest(*shapes, fillvalue=""):
            away = [gr.update(visible=False) if was in (kind, "any") else gr.skip() for kind in KINDS]
            updates += [face if kind == now else gone for kind, gone in zip(KINDS, away, strict=True)]
        updates += [gr.skip()] * (COMPONENTS_PER_FIELD * FIELD_COUNT - len(updates))
        rest = {name: given[name] for name in list(variables)[FIELD_COUNT:]}
        written = yaml.safe_dump(rest, allow_unicode=True, sort_keys=False) if rest else ""
        return [*updates, gr.update(value=written, visible=bool(rest))]

    def tell(self, variables: Variables, wrong: Mapping[str, str], before: Mapping[str, str]) -> list[Any]:
        """Updates of `components` where what is wrong with a field is not what it was `before`."""
        updates: list[Any] = []
        for name, kind in zip(list(variables)[:FIELD_COUNT], self.shape(variables), strict=True):
            changed = wrong.get(name) != before.get(name)
            told = gr.update(**_told(variables[name], wrong.get(name))) if changed else gr.skip()
            updates += [told if kind == field else gr.skip() for field in KINDS]
        return updates + [gr.skip()] * (COMPONENTS_PER_FIELD * FIELD_COUNT - len(updates) + 1)

    def read(self, variables: Variables, given: Sequence[Any], *, strict: bool = False) -> dict[str, Any]:
        """The values in the form, by name; where the editor of the rest is broken, UserError if `strict`."""
        values: dict[str, Any] = {}
        for number, (name, variable) in enumerate(list(variables.items())[:FIELD_COUNT]):
            text, choice, boolean = given[number * COMPONENTS_PER_FIELD : (number + 1) * COMPONENTS_PER_FIELD]
            kind = variable["type"]
            values[name] = bool(boolean) if kind == "boolean" else (choice if kind == "choice" else text) or ""
        if len(variables) <= FIELD_COUNT:
            return values
        rest = _parsed(given[-1], strict=strict)
        return values | {name: _meant(variables.get(name), held) for name, held in rest.items()}


def initial_value(variable: Mapping[str, Any]) -> Any:
    """What a field holds at first: the default, else nothing."""
    default = variable.get("default")
    return bool(default) if variable["type"] == "boolean" else format_value(default)


def help_text(variable: Mapping[str, Any]) -> str:
    """What a variable is and may be, in words."""
    parts = [str(variable.get("description") or ""), _limits(variable)]
    optional = variable.get("required") is False and variable.get("default") in (None, "")
    return " · ".join(part for part in (*parts, "optional" if optional else "") if part)


def _limits(variable: Mapping[str, Any]) -> str:
    low, high = variable.get("min"), variable.get("max")
    bounds = ""
    if low is not None and high is not None:
        bounds = f" from {format_value(low)} to {format_value(high)}"
    elif low is not None or high is not None:
        bounds = f" of at least {format_value(low)}" if low is not None else f" of at most {format_value(high)}"
    match variable["type"]:
        case "number":
            return f"a number{bounds}"
        case "integer":
            return f"a whole number{bounds}"
        case "number_list":
            return f"numbers{bounds}, with commas between them"
        case "text" if variable.get("max_chars", 0) < 100_000:
            return f"at most {variable['max_chars']:,} characters"
    return ""


def _slot(name: str) -> VariableField:
    return VariableField(
        text=gr.Textbox(visible=False, interactive=True, elem_id=name, elem_classes=["variable"]),
        choice=gr.Dropdown([], visible=False, interactive=True, elem_id=f"{name}-choice"),
        boolean=gr.Checkbox(visible=False, interactive=True, elem_id=f"{name}-boolean"),
    )


def _face(name: str, variable: Mapping[str, Any], given: Any) -> dict[str, Any]:
    """The update that gives a field the face of a variable."""
    face: dict[str, Any] = {"label": name, "visible": True}
    match variable["type"]:
        case "boolean":
            return gr.update(value=bool(given), **face)
        case "choice":
            choices = [(option, option) for option in variable["choices"]]
            if variable.get("default") is None:
                choices = [(UNSET, ""), *choices]
            known = given if given in [option for _, option in choices] else choices[0][1]
            return gr.update(choices=choices, value=known, **face)
        case "text":
            return gr.update(value=str(given), lines=_lines(variable, given), max_lines=14, **face)
        case _:
            return gr.update(value=format_value(given), lines=1, max_lines=1, **face)


def _told(variable: Mapping[str, Any], wrong: str | None) -> dict[str, Any]:
    """The words under the name of a field: what it may hold, or what is wrong with what it holds."""
    plain = {"info": help_text(variable), "elem_classes": ["variable"]}
    words = f"{wrong[:1].upper()}{wrong[1:]}" if wrong else ""
    return {"info": f"⚠ {words}.", "elem_classes": ["variable", "faulty"]} if wrong else plain


def _lines(variable: Mapping[str, Any], given: Any) -> int:
    roomy = variable.get("max_chars", 0) > 300 or "\n" in str(given)
    return 3 if roomy and len(str(given)) > LONG else 2 if roomy else 1


def _parsed(written: str | None, *, strict: bool) -> dict[str, Any]:
    """What the editor of the rest holds, every value as it is typed."""
    try:
        data = YamlDocument(written or "{}", words=True).data
    except ConfigError:
        data = None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        if strict:
            raise UserError("More variables: write one 'name: value' a line.", param="variables")
        return {}
    return data


def _meant(variable: Mapping[str, Any] | None, held: Any) -> Any:
    """A typed value as a field of its variable would hold it."""
    if variable and variable["type"] == "boolean" and held in ("true", "false"):
        return held == "true"
    return held
