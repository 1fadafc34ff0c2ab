"""The variables of a prompt in a form: what their fields show, and what to enter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from herding.ui.kit.format import format_value
from herding.values import Outcome, PromptInfo

UNSET = "– select –"
"""The option of a choice without a default."""


def initial_value(variable: Mapping[str, Any]) -> Any:
    """Return the value of an untouched field: the default, else empty."""
    default = variable.get("default")
    return bool(default) if variable["type"] == "boolean" else format_value(default)


def given_values(row: Outcome, prompt: PromptInfo) -> dict[str, Any]:
    """Return the values with which a request can be repeated: without the text that it retrieved.

    With that text, the new request would retrieve nothing, and have no references.
    """
    retrieval = prompt.content.get("retrieval")
    filled = retrieval.get("into", "context") if row.references and isinstance(retrieval, Mapping) else None
    return {name: value for name, value in row.variables.items() if name != filled}


def help_text(variable: Mapping[str, Any]) -> str:
    """Return what to enter for a variable."""
    parts = [str(variable.get("description") or ""), _limits(variable)]
    filled = f"by {source}" if (source := variable.get("source")) else variable.get("filled")
    if filled:
        return " · ".join(part for part in (*parts, f"Filled {filled} if empty") if part)
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
