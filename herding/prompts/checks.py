"""The checks of a prompt, the trimming of a streamed response, and its judgement at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from herding.plugins import hookimpl
from herding.plugins.hooks import Check
from herding.prompts.json_schema import check_schema, find_mismatch
from herding.prompts.patterns import check_pattern, matches_anywhere
from herding.values import CheckResult
from herding.yaml_files import FieldError, StrictModel


class Checks(StrictModel):
    """The checks of a prompt: what a good response looks like. Descriptions are the help of the fields on the page."""

    stop_marker: str | None = Field(
        default=None, min_length=1, max_length=100, description="Text that ends the response; it is removed"
    )
    max_words: int | None = Field(default=None, ge=1, description="Maximum number of words")
    max_chars: int | None = Field(default=None, ge=1, description="Maximum number of characters")
    json_schema: dict[str, Any] | None = Field(default=None, description="JSON Schema of a JSON response")
    regex: str | None = Field(default=None, description="Pattern that the response must contain; ^...$ for all of it")
    choices: list[Annotated[str, Field(min_length=1, max_length=1_000)]] | None = Field(
        default=None, min_length=1, max_length=1_000, description="Allowed responses"
    )
    ignore_case: bool | None = Field(default=None, description="Compare choices without case")
    plugins: dict[Annotated[str, Field(min_length=1, max_length=100)], Any] | None = Field(
        default=None, min_length=1, max_length=20, description="Checks of plugins with their arguments, as JSON"
    )

    @field_validator("json_schema")
    @classmethod
    def _schema_is_valid(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            check_schema(schema)
        return schema

    @field_validator("regex")
    @classmethod
    def _pattern_is_valid(cls, pattern: str | None) -> str | None:
        return pattern if pattern is None else check_pattern(pattern)

    @model_validator(mode="after")
    def _case_is_of_choices(self) -> Checks:
        if self.ignore_case is not None and self.choices is None:
            raise FieldError("this needs choices", "ignore_case")
        return self


class BuiltInChecks:
    """The checks of this package that judge by the text alone, as a plugin like any other."""

    @hookimpl
    def herding_checks(self) -> dict[str, Check]:
        """Return the checks by the names that they have in prompt files."""
        return dict(_BY_NAME)


NO_CHECKS = Checks()
"""The checks of a prompt without any."""

_FENCE = re.compile(r"\A\s*(?P<fence>`{3,9}+|~{3,9}+)[^\n`]*+\n(?P<inside>.*?)(?P=fence)\s*\Z", re.DOTALL)


class Trimmer:
    """Cuts a streamed response at the stop marker or at a stop string, and never passes on a part of either.

    White space before the marker is dropped. If the response ends within the marker, that part is dropped too; the
    beginning of a stop string is kept. `done` is true once one of them was found, `marked` if it was the marker.
    Without `ends`, everything is passed on.
    """

    def __init__(self, checks: Checks, stops: Sequence[str] = ()) -> None:
        self._marker = checks.stop_marker
        self.ends = tuple(stops) if self._marker is None else (self._marker, *stops)
        self._held = ""
        self.done = self.marked = False

    def feed(self, piece: str) -> str:
        """Take the next piece of the response and return the text that can be passed on."""
        if self.done:
            return ""
        if not self.ends:
            return piece
        text = self._held + piece
        found = [(start + len(end), start, end) for end in self.ends if (start := text.find(end)) >= 0]
        if found:
            _, start, end = min(found)
            self.done, self.marked, self._held = True, end == self._marker, ""
            return text[:start].rstrip() if self.marked else text[:start]
        certain = text[: len(text) - max(overlap(text, end) for end in self.ends)]
        if self._marker is not None:
            certain = certain.rstrip()
        self._held = text[len(certain) :]
        return certain

    def end(self) -> str:
        """Return the text that was held back, without the beginning of the marker."""
        rest, self._held = self._held, ""
        begun = overlap(rest, self._marker) if self._marker else 0
        return rest[: len(rest) - begun].rstrip() if begun else rest


def overlap(text: str, marker: str) -> int:
    """Return the number of characters at the end of `text` that may be the beginning of `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(marker[:size])), 0)


def judge(checks: Checks, answer: str, *, marker_seen: bool) -> CheckResult:
    """Judge the trimmed `answer`. The result names the first check that failed."""
    if not any(value is not None for name, value in checks if name != "plugins"):  # those of plugins are judged by them
        return CheckResult()
    reason = _failure(checks, answer, marker_seen=marker_seen)
    return CheckResult(ok=reason is None, reason=reason)


def _failure(checks: Checks, answer: str, *, marker_seen: bool) -> str | None:
    if checks.stop_marker and not marker_seen:
        return f"the stop marker {checks.stop_marker} is missing"
    for name, check in _BY_NAME.items():
        argument = getattr(checks, name)
        if name == "choices" and argument and checks.ignore_case:
            argument = _IgnoringCase(argument)
        if argument is not None and (failure := check(answer, argument)):
            return failure
    return None


class _IgnoringCase(list[str]):
    """Choices that are compared without regard to case."""


def _word_failure(answer: str, most: int) -> str | None:
    words = len(answer.split())
    return f"{words} words (max {most})" if words > most else None


def _length_failure(answer: str, most: int) -> str | None:
    return f"{len(answer)} characters (max {most})" if len(answer) > most else None


def _choice_failure(answer: str, choices: Sequence[str]) -> str | None:
    if _is_a_choice(choices, answer, ignore_case=isinstance(choices, _IgnoringCase)):
        return None
    return f"not one of the choices: {', '.join(choices)}"[:300]


def _is_a_choice(choices: Sequence[str], answer: str, *, ignore_case: bool) -> bool:
    """Return whether the answer, without surrounding white space, is one of the choices."""
    text = answer.strip()
    if ignore_case:
        return text.casefold() in (choice.strip().casefold() for choice in choices)
    return text in (choice.strip() for choice in choices)


def _pattern_failure(answer: str, pattern: str) -> str | None:
    try:
        return None if matches_anywhere(pattern, answer) else "does not match the pattern"
    except TimeoutError:
        return "matching the pattern took too long"


def _json_failure(answer: str, schema: dict[str, Any]) -> str | None:
    fenced = _FENCE.match(answer)
    try:
        data = json.loads(fenced["inside"] if fenced else answer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "not valid JSON"
    return find_mismatch(schema, data)


def _refuse(constant: str) -> None:
    """Refuse NaN and the infinities, which Python accepts but JSON does not."""
    raise ValueError(constant)


_BY_NAME: dict[str, Check] = {
    "max_words": _word_failure,
    "max_chars": _length_failure,
    "choices": _choice_failure,
    "regex": _pattern_failure,
    "json_schema": _json_failure,
}
"""The checks that judge by the text alone, in the order in which they are made."""
