"""Removes the texts of a request whose caller opted out of stored content."""

from __future__ import annotations

from dataclasses import replace

from herding.values import Fields, Outcome


def without_texts(outcome: Outcome) -> Outcome:
    """Return `outcome` with counts and times only.

    Errors may repeat what was sent; stop strings, and the name of a model that no node took, are texts as well.
    """
    return replace(
        outcome,
        session_id=None,
        model=outcome.model if outcome.node else None,
        variables={},
        parameters=replace(outcome.parameters, stop=(), more=_numbers(outcome.parameters.more)),
        input="",
        answer="",
        choices=(),
        extra={},
        references=None,
        steps=outcome.steps and tuple(replace(step, error=None) for step in outcome.steps),
        filters=tuple(replace(result, reason=None) for result in outcome.filters),
        checks=replace(outcome.checks, reason=None),
        attempts=tuple(replace(attempt, error=None) for attempt in outcome.attempts),
        error=None,
    )


def _numbers(given: Fields) -> Fields:
    """Return the parameters that are no texts."""
    return {name: value for name, value in given.items() if isinstance(value, bool | int | float)}
