"""Reads token counts from wherever servers put them in a response."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from herding.values import Usage

MAX_TOKENS = 10**9
"""A larger token count is invalid."""

_INVALID = -1

USAGE_PLACES = (
    *("usage", "x_groq", "usagemetadata", "usage_metadata", "meta", "billed_units", "tokens", "timings", "metrics"),
)
"""Objects that hold the counts, or other such objects."""

_INPUT = (
    *("prompt_tokens", "input_tokens", "prompttokencount", "prompt_token_count"),
    *("prompt_eval_count", "prompt_n", "inputtokencount", "inputtokens", "prompttokens"),
)
_OUTPUT = (
    *("completion_tokens", "output_tokens", "candidatestokencount", "candidates_token_count"),
    *("eval_count", "predicted_n", "generated_tokens", "outputtokencount", "outputtokens", "completiontokens"),
)
_TOTAL = ("total_tokens", "totaltokencount", "total_token_count", "totaltokens")

_NAMES = frozenset({*_INPUT, *_OUTPUT, *_TOTAL})

_PLAIN_EVENT = frozenset({"id", "object", "created", "model", "choices", "usage", "system_fingerprint", "service_tier"})
_PLAIN_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_PLAIN_DETAILS = frozenset({"prompt_tokens_details", "completion_tokens_details"})


def read_usage(event: Mapping[str, Any]) -> Usage | None:
    """Return the token counts in an event or a whole response; None if there are no valid ones."""
    if usage := plain_usage(event):
        return usage
    found = None
    for name, fields in _places("", event, 0):
        found = larger(found, _counts(fields, detailed=name == "usage"))
    return found


def plain_usage(event: Any) -> Usage | None:
    """Return the counts of an event in the form that OpenAI documents, which most servers send; None for another.

    Such an event has no choices and reports no error.
    """
    counts = event.get("usage") if isinstance(event, dict) else None
    if type(counts) is not dict or event.get("choices") or not _PLAIN_EVENT.issuperset(event):
        return None
    if event.get("object") == "error":
        return None
    made_in, made_out, total = (counts.get(name, _INVALID) for name in _PLAIN_COUNTS)
    if not all(type(count) is int and 0 <= count <= MAX_TOKENS for count in (made_in, made_out, total)):
        return None
    details = {name: value for name, value in counts.items() if name not in _PLAIN_COUNTS and value not in (None, {})}
    return Usage(made_in, made_out, "node", details) if _PLAIN_DETAILS.issuperset(details) else None


def larger(one: Usage | None, other: Usage | None) -> Usage | None:
    """Return the larger of each count: servers count up in a stream, and some end it with zeros."""
    if one is None or other is None:
        return one or other
    made_in, made_out = max(one.input_tokens, other.input_tokens), max(one.output_tokens, other.output_tokens)
    return Usage(made_in, made_out, "node", other.details or one.details)


def _places(name: str, fields: Mapping[str, Any], depth: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects that may have counts, with their names: the event, its known places, and its choices."""
    lower = {str(key).lower(): value for key, value in fields.items()}
    yield name, lower
    if depth < 3:
        for place in USAGE_PLACES:
            if isinstance(value := lower.get(place), Mapping):
                yield from _places(place, value, depth + 1)
        choices = lower.get("choices")
        for choice in choices[:1] if isinstance(choices, list) else ():
            if isinstance(choice, Mapping):
                yield from _places("choice", choice, depth + 1)


def _counts(fields: Mapping[str, Any], *, detailed: bool) -> Usage | None:
    counts = [_first(fields, names) for names in (_INPUT, _OUTPUT, _TOTAL)]
    if all(count is None for count in counts) or any(count == _INVALID for count in counts):
        return None
    made_in, made_out, total = counts
    if made_in is None:
        made_in = max(0, (total or 0) - (made_out or 0))
    if made_out is None:
        made_out = max(0, (total or made_in) - made_in)
    details = {key: value for key, value in fields.items() if key not in _NAMES and value not in (None, {})}
    return Usage(made_in, made_out, "node", details if detailed else {})


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """Return the first count, None without one; some servers send floats or text."""
    value = next((fields[name] for name in names if fields.get(name) is not None), None)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else _INVALID
