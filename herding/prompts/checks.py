"""The checks of a prompt: trims the answer while it streams, and judges it at the end."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from herding.prompts.json_schema import fault
from herding.prompts.model import Checks
from herding.prompts.patterns import found_in
from herding.values import CheckResult

_NONE = Checks()
_FENCE = re.compile(r"\A\s*(?P<fence>`{3,9}+|~{3,9}+)[^\n`]*+\n(?P<inside>.*?)(?P=fence)\s*\Z", re.DOTALL)


class Trimmer:
    """Passes an answer on, piece by piece, up to the stop marker or a stop string; never shows it, not even half of it.

    White space before the marker is dropped with it. An answer that breaks off within the marker loses that part too;
    the beginning of a stop string stays. `done` says that one of them came, `marked` that it was the marker.
    """

    def __init__(self, checks: Checks, stops: Sequence[str] = ()) -> None:
        self._marker = checks.stop_marker
        self._ends = tuple(stops) if self._marker is None else (self._marker, *stops)
        self._held = ""
        self.done = self.marked = False

    def feed(self, piece: str) -> str:
        """The part of the answer that is certain after `piece`; empty once the marker or a stop string was seen."""
        if self.done:
            return ""
        if not self._ends:
            return piece
        text = self._held + piece
        found = [(start + len(end), start, end) for end in self._ends if (start := text.find(end)) >= 0]
        if found:
            _, start, end = min(found)
            self.done, self.marked, self._held = True, end == self._marker, ""
            return text[:start].rstrip() if self.marked else text[:start]
        certain = text[: len(text) - max(_overlap(text, end) for end in self._ends)]
        if self._marker is not None:
            certain = certain.rstrip()
        self._held = text[len(certain) :]
        return certain

    def end(self) -> str:
        """What was held back although no marker came, without what looks like its beginning."""
        rest, self._held = self._held, ""
        begun = _overlap(rest, self._marker) if self._marker else 0
        return rest[: len(rest) - begun].rstrip() if begun else rest


def judge(checks: Checks, answer: str, *, marker_seen: bool) -> CheckResult:
    """Whether the trimmed `answer` passes the checks, and the first reason why not."""
    if checks == _NONE:
        return CheckResult()
    reason = _failure(checks, answer, marker_seen=marker_seen)
    return CheckResult(ok=reason is None, reason=reason)


def _failure(checks: Checks, answer: str, *, marker_seen: bool) -> str | None:
    words = len(answer.split())
    if checks.stop_marker and not marker_seen:
        return f"the marker {checks.stop_marker} is missing"
    if checks.max_words and words > checks.max_words:
        return f"{words} words, at most {checks.max_words} are allowed"
    if checks.max_chars and len(answer) > checks.max_chars:
        return f"{len(answer)} characters, at most {checks.max_chars} are allowed"
    if checks.choices and not _is_chosen(checks.choices, answer, ignore_case=bool(checks.ignore_case)):
        return f"the answer is none of: {', '.join(checks.choices)}"[:300]
    if checks.regex and (failure := _pattern_failure(checks.regex, answer)):
        return failure
    return _json_failure(checks.json_schema, answer) if checks.json_schema is not None else None


def _is_chosen(choices: Sequence[str], answer: str, *, ignore_case: bool) -> bool:
    """Whether the answer, without white space around it, is one of the choices."""
    said = answer.strip()
    if ignore_case:
        return said.casefold() in (choice.strip().casefold() for choice in choices)
    return said in (choice.strip() for choice in choices)


def _pattern_failure(pattern: str, answer: str) -> str | None:
    try:
        return None if found_in(pattern, answer) else "the answer does not match the pattern"
    except TimeoutError:
        return "the answer does not match the pattern in the time there is for it"


def _json_failure(schema: dict[str, Any], answer: str) -> str | None:
    fenced = _FENCE.match(answer)
    try:
        data = json.loads(fenced["inside"] if fenced else answer, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    return fault(schema, data)


def _refuse(constant: str) -> None:
    """Python's reader takes NaN and the infinities, which JSON does not know."""
    raise ValueError(constant)


def _overlap(text: str, marker: str) -> int:
    """How many characters at the end of `text` may be the beginning of `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(marker[:size])), 0)
