"""Makes a value that a JSON schema allows, out of the words that the user said."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_QUOTED = re.compile(r"(?<!\w)(['\"])(.+?)\1(?!\w)")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def quoted(text: str) -> list[str]:
    """The texts in quotes."""
    return [found[1] for found in _QUOTED.findall(text)]


class Filler:
    """Fills strings with the quoted texts and numbers with the numbers of `text`, in their order."""

    def __init__(self, schema: Mapping[str, Any], text: str) -> None:
        self._root = schema
        self._texts: Iterator[str] = iter(quoted(text))
        self._numbers: Iterator[str] = iter(_NUMBER.findall(text))

    def value(self) -> Any:
        """A value of the whole schema."""
        return self._value(self._root, "value")

    def _value(self, given: Mapping[str, Any], name: str) -> Any:
        schema = self._resolved(given)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        if options := schema.get("anyOf") or schema.get("oneOf"):
            return self._value(next((one for one in options if one.get("type") != "null"), options[0]), name)
        if every := schema.get("allOf"):
            return self._value({key: value for one in every for key, value in self._resolved(one).items()}, name)
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        kinds = [kind] if isinstance(kind, str) else kind
        return self._of_kind(next((one for one in kinds if one != "null"), "null"), schema, name)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], name: str) -> Any:
        match kind:
            case "object":
                return {key: self._value(inner, key) for key, inner in schema.get("properties", {}).items()}
            case "array":
                return [self._value(schema.get("items") or {}, name) for _ in range(schema.get("minItems", 1))]
            case "integer":
                return int(float(next(self._numbers, schema.get("minimum", 1))))
            case "number":
                return float(next(self._numbers, schema.get("minimum", 1)))
            case "boolean":
                return True
            case "null":
                return None
        return next(self._texts, f"a {name}")

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema:
            found: Any = self._root
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema
