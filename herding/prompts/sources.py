"""Variables that a variable source fills when a request comes: which they are, and their arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herding.prompts.render import insert, placeholders
from herding.prompts.variables import Value, Variable
from herding.yaml_files import FieldError


def check_source(name: str, variable: Variable, variables: Mapping[str, Variable]) -> None:
    """Raise FieldError for arguments without a source, or with placeholders that have no value by then."""
    if variable.source is None:
        if variable.arguments is not None:
            raise FieldError("these are the arguments of a source: add one", "variables", name, "arguments")
        return
    for used in _placeholders(variable.arguments or {}):
        if used not in variables:
            raise FieldError(f"'{used}' is not declared under variables", "variables", name, "arguments")
        if variables[used].source is not None:
            raise FieldError(f"'{used}' is filled by a source itself", "variables", name, "arguments")


def to_fill(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> Iterator[tuple[str, str, Variable]]:
    """Yield the variables that the caller left empty and a source fills, each with its name and that of the source."""
    for name, variable in variables.items():
        if variable.source is not None and given.get(name) in (None, "", []):
            yield name, variable.source, variable


def filled_arguments(arguments: Any, values: Mapping[str, Value]) -> Any:
    """Return arguments with the placeholders in their texts replaced by values."""
    if isinstance(arguments, str):
        return insert(arguments, values)
    if isinstance(arguments, Mapping):
        return {name: filled_arguments(item, values) for name, item in arguments.items()}
    if isinstance(arguments, list):
        return [filled_arguments(item, values) for item in arguments]
    return arguments


def _placeholders(arguments: Any) -> Iterator[str]:
    if isinstance(arguments, str):
        yield from placeholders(arguments)
    elif isinstance(arguments, Mapping | list):
        for item in arguments.values() if isinstance(arguments, Mapping) else arguments:
            yield from _placeholders(item)
