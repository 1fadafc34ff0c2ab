"""`response_format`: the form that an answer must have, as OpenAI writes it."""

from __future__ import annotations

import json
import re
from typing import Any

from herding.errors import UserError

Json = dict[str, Any]

MAX_CHARS = 40_000
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def checked_form(given: Any) -> Json | None:
    """`given` as a node takes it, None for plain text; UserError says what is wrong with it."""
    if given is None:
        return None
    kind = given.get("type") if isinstance(given, dict) else None
    if kind not in ("text", "json_object", "json_schema"):
        raise _wrong("It is {'type': 'text'}, 'json_object' or 'json_schema'")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": _checked_schema(given.get("json_schema"))}


def _checked_schema(given: Any) -> Json:
    if not isinstance(given, dict) or not isinstance(given.get("schema"), dict):
        raise _wrong("A json_schema has a name and, under 'schema', an object")
    if not isinstance(given.get("name"), str) or not _NAME.fullmatch(given["name"]):
        raise _wrong("The name of a json_schema has 1 to 64 letters, digits, '_' or '-'")
    if given.get("strict") not in (None, True, False) or not isinstance(given.get("description", ""), str | None):
        raise _wrong("Of a json_schema, 'strict' is true or false and 'description' a text")
    _check_size(given)
    return {key: given[key] for key in ("name", "description", "schema", "strict") if given.get(key) is not None}


def _check_size(given: Json) -> None:
    """What cannot be sent on is refused here, so that no node is blamed for it."""
    try:
        size = len(json.dumps(given, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise _wrong("The schema holds something that JSON cannot carry, or is nested too deep") from None
    if size > MAX_CHARS:
        raise _wrong(f"A json_schema has at most {MAX_CHARS:,} bytes")


def _wrong(message: str) -> UserError:
    return UserError(f"{message}.", param="response_format")
