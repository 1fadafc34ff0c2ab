"""The inputs that all columns share: a field for each variable, and all values in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.form_data import is_required
from herding.ui.kit.fields import checkbox, hidden_field, select_field, text_field
from herding.ui.kit.format import el, format_value, truncate
from herding.ui.kit.variables import UNSET, help_text, initial_value

FORM = "compare-form"
MAX_SHOWN = 90
NO_VARIABLES = "This prompt has no variables."

Variables = Mapping[str, Mapping[str, Any]]


def inputs_section(variables: Variables, values: Mapping[str, Any]) -> Markup:
    """Return the fields, folded to one line unless a required value is missing."""
    return el(
        "details",
        el(
            "summary",
            el("h2", "Input"),
            el("span", input_line(variables, values), id="compare-input-line", cls="one-line muted"),
        ),
        el("div", input_fields(variables, values), id="compare-input-fields", cls="compare-fields"),
        id="compare-inputs",
        cls="compare-inputs",
        open="" if is_missing(variables, values) else None,
    )


def is_missing(variables: Variables, values: Mapping[str, Any]) -> bool:
    """Return whether a required value is missing."""
    return any(
        variable["type"] != "boolean"
        and is_required(variable)
        and str(shown_value(name, variable, values)).strip() == ""
        for name, variable in variables.items()
    )


def input_line(variables: Variables, values: Mapping[str, Any]) -> str:
    """Return the values in one line."""
    if not variables:
        return NO_VARIABLES
    parts = []
    for name, variable in variables.items():
        value = shown_value(name, variable, values)
        text = truncate(format_value(value), MAX_SHOWN) if value not in ("", None) else "empty"
        parts.append(f"{name}: {text}")
    return " · ".join(parts)


def input_fields(variables: Variables, values: Mapping[str, Any]) -> Markup:
    """Return the field of each variable."""
    if not variables:
        return el("p", NO_VARIABLES, cls="muted")
    return Markup().join(_field(name, variable, shown_value(name, variable, values)) for name, variable in
                         variables.items())  # fmt: skip


def shown_value(name: str, variable: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    """Return the value that the field of a variable shows."""
    value = values.get(name)
    return initial_value(variable) if value is None else value


def _field(name: str, variable: Mapping[str, Any], value: Any) -> Markup:
    field, info = f"var.{name}", help_text(variable)
    common: dict[str, Any] = {"id": f"compare-var-{name}", "form": FORM}
    marker = None
    match variable["type"]:
        case "boolean":
            marker = hidden_field(f"{field}.shown", form=FORM)
            inner = checkbox(name, field, checked=value in (True, "true", "on"), info=info, **common)
        case "choice":
            options = [(str(option), str(option)) for option in variable.get("choices") or ()]
            if variable.get("default") is None:
                options = [(UNSET, ""), *options]
            inner = select_field(name, field, options, str(value), info=info, **common)
        case "text":
            inner = text_field(name, field, str(value), lines=2, info=info, **common)
        case _:
            inner = text_field(name, field, format_value(value), info=info, inputmode="decimal", **common)
    error = el("small", cls="wrong", role="alert", data_input_error=name, hidden="")
    return el("div", inner, marker, error, cls="compare-input")
