"""JSON schemas: validated when a prompt loads, and applied to a response with a time limit."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import jsonschema.validators
import regex
from referencing import Registry
from referencing.exceptions import Unresolvable

from herding.prompts.patterns import SECONDS, check_pattern, matches_anywhere

MAX_DEPTH = 100
Keyword = Callable[[Any, Any, Any, Any], Iterable[jsonschema.ValidationError] | None]


def check_schema(schema: dict[str, Any]) -> None:
    """Raise ValueError if `schema` is invalid or too expensive."""
    _refuse_depth(schema)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        json.dumps(schema, allow_nan=False, sort_keys=True)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON schema: {_located(error)}") from None
    except (TypeError, ValueError):
        raise ValueError("not a JSON schema: it holds a value that JSON does not support") from None
    _check_patterns(schema)


def find_mismatch(schema: dict[str, Any], data: Any) -> str | None:
    """Return the first mismatch of `data`, or None. Remote references are never fetched."""
    try:
        error = next(_validator(schema).iter_errors(data), None)
    except Unresolvable:
        return "can't check the JSON schema: a $ref in it has no target"
    except RecursionError:
        return "can't check the JSON schema: a $ref in it is circular or nested too deep"
    except OverflowError:  # a multiple of a fraction is looked for with floats
        return "can't check the JSON schema: a number is too large"
    except (TimeoutError, regex.error):
        return "checking the JSON schema took too long"
    return f"the JSON does not match the schema: {_located(error)}" if error else None


def _located(error: jsonschema.ValidationError | jsonschema.SchemaError) -> str:
    """Return what is wrong after the path of the value, such as `person.age: 'x' is not of type 'number'`."""
    path = ".".join(map(str, error.absolute_path))
    # Of several forms, the message of the first (an enumeration, for a type) says what is allowed.
    message = error.context[0].message if error.validator == "anyOf" and error.context else error.message
    return f"{path[:100]}: {message[:200]}" if path else message[:200]


def _validator(schema: dict[str, Any]) -> Any:
    """Return a validator with one deadline for all its work."""
    end = time.monotonic() + SECONDS

    def left() -> float:
        seconds = end - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def timed(keyword: Keyword) -> Keyword:
        def check(checker: Any, value: Any, item: Any, whole: Any) -> Iterator[jsonschema.ValidationError]:
            left()
            yield from keyword(checker, value, item, whole) or ()

        return check

    known = {**jsonschema.Draft202012Validator.VALIDATORS, **_keywords(left)}
    made = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
        jsonschema.Draft202012Validator, {name: timed(keyword) for name, keyword in known.items()}
    )
    return made(schema, registry=Registry())


def _keywords(left: Callable[[], float]) -> dict[str, Keyword]:  # noqa: C901 (small functions)
    """Return the keywords that may take long. `left` returns the seconds left until the deadline."""

    def fits(pattern: str, text: str) -> bool:
        return matches_anywhere(pattern, text, seconds=left())

    def pattern(checker: Any, wanted: str, text: Any, _: Any) -> Iterator[jsonschema.ValidationError]:
        if checker.is_type(text, "string") and not fits(wanted, text):
            yield jsonschema.ValidationError(f"{text[:80]!r} does not match {wanted!r}")

    def pattern_properties(checker: Any, wanted: Any, data: Any, _: Any) -> Iterator[jsonschema.ValidationError]:
        if checker.is_type(data, "object"):
            for name, schema in wanted.items():
                for key in (key for key in data if fits(name, key)):
                    yield from checker.descend(data[key], schema, path=key, schema_path=name)

    def additional_properties(
        checker: Any, wanted: Any, data: Any, schema: Any
    ) -> Iterator[jsonschema.ValidationError]:
        if not checker.is_type(data, "object"):
            return
        named, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        for key in data:
            if key in named or any(fits(name, key) for name in patterns):
                continue
            if wanted is False:
                yield jsonschema.ValidationError(f"the property {key[:80]!r} is not allowed")
            else:
                yield from checker.descend(data[key], wanted, path=key)

    def unique_items(checker: Any, wanted: Any, data: Any, _: Any) -> Iterator[jsonschema.ValidationError]:
        if wanted and checker.is_type(data, "array") and len(set(map(_distinct, data))) < len(data):
            yield jsonschema.ValidationError("a list contains an item twice")

    return {
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
        "uniqueItems": unique_items,
    }


def _distinct(item: Any) -> Hashable:
    """Return a key that only equal items share. In JSON 1 equals 1.0, but not true."""
    if isinstance(item, dict):
        return dict, frozenset((name, _distinct(value)) for name, value in item.items())
    if isinstance(item, list):
        return list, tuple(map(_distinct, item))
    return (bool, item) if isinstance(item, bool) else item


def _check_patterns(schema: dict[str, Any]) -> None:
    """Raise ValueError for invalid patterns of a schema.

    `unevaluatedProperties` would match those of `patternProperties` without a deadline.
    """
    left, keys = list[Any]([schema]), set[str]()
    while left:
        item = left.pop()
        left += _children(item)
        if not isinstance(item, dict):
            continue
        keys.update(item)
        patterns = item.get("patternProperties")
        for pattern in (item.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
            if isinstance(pattern, str):
                check_pattern(pattern)
    if {"patternProperties", "unevaluatedProperties"} <= keys:
        raise ValueError("patternProperties and unevaluatedProperties can't be used together")


def _refuse_depth(value: Any) -> None:
    """Raise ValueError if a value is nested too deep for recursive functions."""
    level, depth = [value], 0
    while level := [inner for item in level for inner in _children(item)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"the value is nested deeper than {MAX_DEPTH} levels")


def _children(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()
