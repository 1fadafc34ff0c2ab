"""Outcomes to rows and back: pure functions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from herding.values import Attempt, CheckResult, Outcome, Parameters, Timings, Usage

Row = dict[str, Any]
"""The columns of one row by name."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""No database takes half a surrogate pair, and PostgreSQL takes no NUL."""

_TEXTS = (
    *("principal", "prompt", "variant", "session_id", "model", "node"),
    *("policy", "reason", "error_type", "error", "input", "answer"),
)
_SAME = (*_TEXTS, "created_at", "version", "edited", "status", "finish_reason")
"""Fields of an outcome that are columns of the same name; others may have written the texts among them."""

_same = attrgetter(*_SAME)
_ATTEMPT = tuple(field.name for field in fields(Attempt))


def storable(value: Any) -> Any:
    """`value` as both JSON and the database take it.

    Characters that cannot be stored become U+FFFD; NaN and infinities become their names; tuples become lists.
    """
    if value is None or value is True or value is False or isinstance(value, int):
        return value
    if isinstance(value, str):
        return value if value.isascii() and "\x00" not in value else _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [storable(item) for item in value]
    return value


def request_row(outcome: Outcome) -> Row:
    """The row of table `request` for an outcome."""
    usage, timings, checks = outcome.usage, outcome.timings, outcome.checks
    row: Row = dict(zip(_SAME, _same(outcome), strict=True))
    for name in _TEXTS:
        if row[name] is not None:
            row[name] = storable(row[name])
    return row | {
        "id": storable(outcome.request_id),
        "variables": storable(outcome.variables),
        "parameters": _set_parameters(outcome.parameters),
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "usage_source": usage.source,
        "queued_ms": timings.queued_ms,
        "first_token_ms": timings.first_token_ms,
        "total_ms": timings.total_ms,
        "checks_passed": checks.ok,
        "check_failure": storable(checks.reason),
    }


def attempt_rows(outcome: Outcome) -> list[Row]:
    """The rows of table `attempt` for an outcome."""
    request_id = storable(outcome.request_id)
    return [
        {"request_id": request_id} | {name: storable(getattr(attempt, name)) for name in _ATTEMPT}
        for attempt in outcome.attempts
    ]


def settled_row(outcome: Outcome) -> Row:
    """What an ended request really used, for its entry in table `ledger`."""
    used = outcome.usage.input_tokens + outcome.usage.output_tokens
    return {"settled_id": storable(outcome.request_id), "used": used}


def to_attempt(row: Mapping[str, Any]) -> Attempt:
    """The attempt that a row of table `attempt` holds."""
    return Attempt(**{name: row[name] for name in _ATTEMPT})


def to_outcome(row: Mapping[str, Any], attempts: Sequence[Attempt] = ()) -> Outcome:
    """The outcome that a row of table `request` and its attempts hold."""
    return Outcome(
        request_id=row["id"],
        variables=row["variables"],
        parameters=_parameters(row["parameters"]),
        usage=Usage(row["input_tokens"], row["output_tokens"], row["usage_source"]),
        timings=Timings(row["queued_ms"], row["first_token_ms"], row["total_ms"]),
        checks=CheckResult(row["checks_passed"], row["check_failure"]),
        attempts=tuple(attempts),
        **{name: row[name] for name in _SAME},
    )


def _set_parameters(parameters: Parameters) -> Row:
    """What is left to the model is left out."""
    return {name: storable(value) for name, value in parameters.given().items()}


def _parameters(stored: Mapping[str, Any]) -> Parameters:
    return Parameters(**{**stored, "stop": tuple(stored.get("stop", ()))})
