"""Conversion of outcomes to rows and back."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Any

from herding.values import (
    Attempt,
    CheckResult,
    Choice,
    FilterResult,
    Outcome,
    Parameters,
    Reference,
    StepRun,
    Timings,
    Usage,
    bounded,
)

Row = dict[str, Any]
"""The columns of one row by name."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""Lone surrogates, which no database takes, and NUL, which PostgreSQL does not take."""

_TEXTS = (
    *("principal", "prompt", "variant", "session_id", "model", "node"),
    *("policy", "reason", "error_type", "error", "input", "answer", "token", "parent", "step", "finish_reason"),
)
_COLUMNS = (*_TEXTS, "created_at", "version", "edited", "status", "kind", "cost")
"""Fields of an outcome that are columns of the same name."""

_column_values = attrgetter(*_COLUMNS)
_NO_PARAMETERS = Parameters()
_CHOICE = tuple(field.name for field in fields(Choice))
_ATTEMPT = tuple(field.name for field in fields(Attempt))
_attempt_values = attrgetter(*_ATTEMPT)
_ATTEMPT_TEXTS = ("node", "model", "error_type", "error")


def storable(value: Any) -> Any:
    """Return `value` in a form that both JSON and the database take.

    Characters that cannot be stored become U+FFFD; NaN and infinities become their names; tuples become lists.
    """
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else _UNSTORABLE.sub("\ufffd", value)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict | Mapping):  # a dict is recognized faster than a Mapping
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [storable(item) for item in value]
    return value


def request_row(outcome: Outcome) -> Row:
    """Return the row of table `request` for an outcome."""
    usage, timings, checks = outcome.usage, outcome.timings, outcome.checks
    row: Row = dict(zip(_COLUMNS, _column_values(outcome), strict=True))
    row |= {
        "id": outcome.request_id,
        "variables": storable(outcome.variables),
        "parameters": _set_parameters(outcome.parameters),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "usage_source": usage.source,
        "queued_ms": timings.queued_ms,
        "first_token_ms": timings.first_token_ms,
        "total_ms": timings.total_ms,
        "checks_passed": checks.ok,
        "check_failure": checks.reason,
        "response": _response(outcome),
        "process": None,
    }
    return _replace_unstorable(row, (*_TEXTS, "id", "check_failure"))


def attempt_rows(outcome: Outcome) -> list[Row]:
    """Return the rows of table `attempt` for an outcome."""
    request_id = storable(outcome.request_id)
    rows = [dict(zip(_ATTEMPT, _attempt_values(attempt), strict=True)) for attempt in outcome.attempts]
    return [_replace_unstorable(row | {"request_id": request_id}, _ATTEMPT_TEXTS) for row in rows]


def _replace_unstorable(row: Row, names: Sequence[str]) -> Row:
    """Make the texts of these columns storable in place, and return the row."""
    for name in names:
        text = row[name]
        if text and (not text.isascii() or "\x00" in text):
            row[name] = _UNSTORABLE.sub("\ufffd", text)
    return row


def usage_row(outcome: Outcome) -> Row:
    """Return the tokens and the money that an outcome used, for its entry in table `ledger`."""
    used = outcome.usage.total if outcome.charged_tokens is None else outcome.charged_tokens
    spent = outcome.cost if outcome.charged_cost is None else outcome.charged_cost
    return {
        "settled_id": storable(outcome.request_id),
        "used": used,
        "spent": spent or 0,
        "called": outcome.charged_requests,
    }


def to_attempt(row: Mapping[str, Any]) -> Attempt:
    """Return the attempt of a row of table `attempt`."""
    return Attempt(**{name: row[name] for name in _ATTEMPT})


def to_outcome(row: Mapping[str, Any], attempts: Sequence[Attempt] = ()) -> Outcome:
    """Return the outcome of a row of table `request` and its attempts."""
    return Outcome(
        request_id=row["id"],
        variables=row["variables"],
        parameters=_parameters(row["parameters"]),
        usage=Usage(row["input_tokens"], row["output_tokens"], row["usage_source"], _usage_details(row["response"])),
        timings=Timings(row["queued_ms"], row["first_token_ms"], row["total_ms"]),
        checks=CheckResult(row["checks_passed"], row["check_failure"]),
        attempts=tuple(attempts),
        **_read_response(row["response"]),
        **{name: row[name] for name in _COLUMNS},
    )


def _response(outcome: Outcome) -> Row | None:
    """Return what a response has besides its text, None if that is nothing."""
    choices, details = outcome.choices, outcome.usage.details
    more = outcome.references is not None or outcome.steps is not None
    if not (choices or outcome.extra or details or outcome.ignored or outcome.filters or more):
        return None
    found = {
        "choices": [_choice(choice) for choice in choices],
        "extra": outcome.extra,
        "usage": details,
        "ignored": outcome.ignored,
        "filters": [asdict(result) for result in outcome.filters],
    }
    given = {name: value for name, value in found.items() if value}
    if outcome.references is not None:
        given["references"] = [asdict(reference) for reference in outcome.references]
    if outcome.steps is not None:
        given["steps"] = [asdict(step) for step in outcome.steps]
    stored: Row = storable(bounded(given))
    return stored


def _choice(choice: Choice) -> Row:
    return {name: value for name in _CHOICE if (value := getattr(choice, name)) not in ("", {}, None)}


def _read_response(stored: Mapping[str, Any] | None) -> Row:
    if not stored:
        return {}
    return {
        "choices": tuple(Choice(**choice) for choice in stored.get("choices", ())),
        "extra": stored.get("extra", {}),
        "ignored": tuple(stored.get("ignored", ())),
        "references": _references(stored.get("references")),
        "filters": tuple(FilterResult(**result) for result in stored.get("filters", ())),
        "steps": _steps(stored.get("steps")),
    }


def _references(stored: Sequence[Mapping[str, Any]] | None) -> tuple[Reference, ...] | None:
    return None if stored is None else tuple(Reference(**reference) for reference in stored)


def _steps(stored: Sequence[Mapping[str, Any]] | None) -> tuple[StepRun, ...] | None:
    if stored is None:
        return None
    return tuple(StepRun(**{**step, "request_ids": tuple(step["request_ids"])}) for step in stored)


def _usage_details(stored: Mapping[str, Any] | None) -> Row:
    details: Row = (stored or {}).get("usage", {})
    return details


def _set_parameters(parameters: Parameters) -> Row:
    """Return the parameters that are set, without those left to the model."""
    if parameters == _NO_PARAMETERS:
        return {}
    given: Row = storable(parameters.given())
    return bounded(given) if parameters.more else given


def _parameters(stored: Mapping[str, Any]) -> Parameters:
    return Parameters.of(stored)
