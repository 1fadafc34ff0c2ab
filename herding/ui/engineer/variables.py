"""The variables of a prompt: the field of each, and its definition, which is edited in place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.form_data import is_required, shown_default
from herding.ui.engineer.messages import error_slot
from herding.ui.kit.fields import button, checkbox, hidden_field, select_field, text_field
from herding.ui.kit.format import el, format_value
from herding.ui.kit.variables import UNSET, help_text, initial_value

TYPES = (
    ("Text", "text"),
    ("Number", "number"),
    ("Whole number", "integer"),
    ("List of numbers", "number_list"),
    ("Choice", "choice"),
    ("Yes or no", "boolean"),
)
_BOUNDED = "number integer number_list"
NO_VARIABLES = "No variables yet. Write {{name}} in a message to add one."


def variable_cards(
    variables: Mapping[str, Mapping[str, Any]],
    values: Mapping[str, Any],
    *,
    definitions: Mapping[str, Any] | None,
    can_define: bool,
    retrieval: Any = None,
) -> Markup:
    """Return the cards of all variables. `definitions` are those of the file, None if they cannot be edited.

    The card of the variable that `retrieval` fills says so.
    """
    filled = with_retrieval(variables, retrieval)
    cards = [
        card(name, variable, values.get(name), definition=(definitions or {}).get(name), can_define=can_define)
        for name, variable in filled.items()
    ]
    empty = el("p", NO_VARIABLES, cls="muted", id="engineer-no-variables", hidden="" if cards else None)
    return el("div", *cards, empty, id="variables")


def with_retrieval(variables: Mapping[str, Mapping[str, Any]], retrieval: Any) -> Mapping[str, Mapping[str, Any]]:
    """Return variables with what fills the one that the retrieval of a prompt file is for."""
    if not isinstance(retrieval, Mapping) or (into := str(retrieval.get("into", "context"))) not in variables:
        return variables
    filled = f"from the collection {retrieval.get('collection')}"
    return {**variables, into: {**variables[into], "filled": filled}}


def card(
    name: str,
    variable: Mapping[str, Any],
    value: Any,
    *,
    definition: Any,
    can_define: bool,
    new: bool = False,
) -> Markup:
    """Return the card of one variable: its field and its definition."""
    gone = el(
        "p",
        "No message uses this variable. ",
        button("Remove variable", data_remove_variable=name, kind="quiet"),
        cls="engineer-unused",
        data_unused=name,
        hidden="",
    )
    return el(
        "div",
        control(name, variable, value),
        error_slot(f"var.{name}"),
        gone if can_define else None,
        definition_fields(name, variable if definition is None else definition, new=new) if can_define else None,
        cls="engineer-variable",
        id=f"variable-{name}",
        data_variable=name,
    )


def shape(variable: Mapping[str, Any]) -> str:
    """Return what tells the controls of variables apart: the kind of the field, and its choices."""
    kind = variable["type"]
    if kind == "choice":
        return json.dumps(["choice", list(variable.get("choices") or ()), variable.get("default") is None])
    return "boolean" if kind == "boolean" else "text" if kind == "text" else "number"


def control(name: str, variable: Mapping[str, Any], value: Any) -> Markup:
    """Return the field for the value of a variable."""
    shown = initial_value(variable) if value is None else value
    field, info = f"var.{name}", help_text(variable)
    common: dict[str, Any] = {"id": f"var-{name}", "data_default": str(initial_value(variable))}
    match variable["type"]:
        case "boolean":
            marker = hidden_field(f"{field}.shown")
            checked = shown in (True, "true", "on")
            inner = el("div", checkbox(name, field, checked=checked, info=info, id=common["id"]), marker)
        case "choice":
            choices = [(str(option), str(option)) for option in variable.get("choices") or ()]
            if variable.get("default") is None:
                choices = [(UNSET, ""), *choices]
            inner = select_field(name, field, choices, str(shown), info=info, **common)
        case "text":
            area = el("textarea", f"\n{shown}", name=field, rows="1", cls="input", **common)
            inner = _labelled(name, el("div", el("div", cls="engineer-marks"), area, cls="engineer-text"), info)
        case _:
            inner = text_field(name, field, format_value(shown), info=info, inputmode="decimal", **common)
    marker = hidden_field(f"shape.{name}", shape(variable))
    return el("div", inner, marker, id=f"control-{name}", cls="engineer-control")


def _labelled(name: str, area: Markup, info: str) -> Markup:
    label = el("label", name, for_=f"var-{name}", cls="label")
    return el("div", label, area, el("small", info) if info else None, cls="field")


def definition_fields(name: str, variable: Mapping[str, Any], *, new: bool = False) -> Markup:
    """Return the folded fields of a definition; those that its type does not have are hidden."""
    kind, prefix = str(variable.get("type") or "text"), f"def.{name}"
    default, label = shown_default(variable), dict((value, text) for text, value in TYPES).get(kind, kind)

    def field(title: str, key: str, of: str, *, lines: int = 1, info: str = "", value: Any = None) -> Markup:
        text = format_value(variable.get(key)) if value is None else value
        fits = kind in of.split()
        attributes: dict[str, Any] = {"id": f"{prefix}.{key}", "disabled": None if fits else ""}
        inner = text_field(title, f"{prefix}.{key}", text, lines=lines, info=info, **attributes)
        return el("div", inner, error_slot(f"{prefix}.{key}"), data_of=of, hidden=None if fits else "")

    choices = "\n".join(str(choice) for choice in variable.get("choices") or ())
    fits = kind == "boolean"
    yes_no = select_field(
        "Default", f"{prefix}.default", [("No", "false"), ("Yes", "true")], default or "false",
        disabled=None if fits else "", id=f"{prefix}.default.boolean",
    )  # fmt: skip
    required = is_required(variable)
    facts = " · ".join(part for part in (label, "required" if required else "", "new" if new else "") if part)
    return el(
        "details",
        el("summary", facts, aria_label=f"Definition of {name}: {facts}"),
        hidden_field(f"{prefix}.new") if new else None,
        hidden_field(f"{prefix}.required_shown"),
        el(
            "div",
            el(
                "div",
                select_field("Type", f"{prefix}.type", TYPES, kind, id=f"{prefix}.type"),
                error_slot(f"{prefix}.type"),
            ),
            field("Default", "default", f"text choice {_BOUNDED}", value=default, lines=2 if "\n" in default else 1),
            el("div", yes_no, data_of="boolean", hidden=None if fits else ""),
            field("Choices", "choices", "choice", lines=3, info="One per line", value=choices),
            field("Min", "min", _BOUNDED),
            field("Max", "max", _BOUNDED),
            field("Max characters", "max_chars", "text"),
            field("Pattern", "pattern", "text", info="Regular expression"),
            field("Description", "description", f"text choice boolean {_BOUNDED}"),
            checkbox("Required", f"{prefix}.required", checked=required, id=f"{prefix}.required"),
            cls="engineer-definition",
        ),
        cls="engineer-details",
    )
