"""JSON schemas: checked when a prompt loads, and held against an answer for a limited time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import jsonschema.validators
import regex
from referencing import Registry
from referencing.exceptions import Unresolvable

from herding.prompts.patterns import SECONDS, check_pattern, found_in

MAX_DEPTH = 100
Keyword = Callable[[Any, Any, Any, Any], Iterable[jsonschema.ValidationError] | None]


def check_schema(schema: dict[str, Any]) -> None:
    """ValueError where `schema` is none, or would take more than is done here."""
    _refuse_depth(schema)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
        json.dumps(schema, allow_nan=False, sort_keys=True)
    except jsonschema.SchemaError as error:
        raise ValueError(f"not a JSON schema: {error.message}") from None
    except (TypeError, ValueError):
        raise ValueError("not a JSON schema: it holds a value that JSON does not know") from None
    _check_patterns(schema)


def fault(schema: dict[str, Any], data: Any) -> str | None:
    """What is wrong with `data`, if anything; never fetches a remote reference."""
    try:
        error = next(_validator(schema).iter_errors(data), None)
    except Unresolvable:
        return "the JSON cannot be checked against the schema: a $ref in it leads to nothing"
    except RecursionError:
        return "the JSON cannot be checked against the schema: a $ref in it leads back to itself, or too deep"
    except (TimeoutError, regex.error):
        return "the JSON cannot be checked against the schema in the time there is for it"
    return f"the JSON does not fit the schema: {error.message[:200]}" if error else None


def _validator(schema: dict[str, Any]) -> Any:
    """A validator with one deadline for all that it does."""
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


def _keywords(left: Callable[[], float]) -> dict[str, Keyword]:  # noqa: C901 (some small functions)
    """The keywords that may take long by nature; `left` says how many seconds there are for patterns."""

    def fits(pattern: str, text: str) -> bool:
        return found_in(pattern, text, seconds=left())

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
            yield jsonschema.ValidationError("a list holds an item twice")

    return {
        "pattern": pattern,
        "patternProperties": pattern_properties,
        "additionalProperties": additional_properties,
        "uniqueItems": unique_items,
    }


def _distinct(item: Any) -> Hashable:
    """What only equal items share: 1 is 1.0 in JSON, but neither is true."""
    if isinstance(item, dict):
        return dict, frozenset((name, _distinct(value)) for name, value in item.items())
    if isinstance(item, list):
        return list, tuple(map(_distinct, item))
    return (bool, item) if isinstance(item, bool) else item


def _check_patterns(schema: dict[str, Any]) -> None:
    """All patterns of a schema; `unevaluatedProperties` would match those of `patternProperties` without a deadline."""
    left, keys = list[Any]([schema]), set[str]()
    while left:
        item = left.pop()
        left += _inside(item)
        if not isinstance(item, dict):
            continue
        keys.update(item)
        patterns = item.get("patternProperties")
        for pattern in (item.get("pattern"), *(patterns if isinstance(patterns, dict) else ())):
            if isinstance(pattern, str):
                check_pattern(pattern)
    if {"patternProperties", "unevaluatedProperties"} <= keys:
        raise ValueError("patternProperties and unevaluatedProperties do not go together here")


def _refuse_depth(value: Any) -> None:
    """Whoever walks through a value later walks by recursion, and must come to its end."""
    level, depth = [value], 0
    while level := [inner for item in level for inner in _inside(item)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"at most {MAX_DEPTH} levels stand inside one another here")


def _inside(item: Any) -> Iterable[Any]:
    if isinstance(item, dict):
        return item.values()
    return item if isinstance(item, list) else ()
