"""The contract of a prompt: trims the answer while it streams, and judges it at the end."""

from __future__ import annotations

import json
import re
from typing import Any

import regex
from referencing.exceptions import Unresolvable

from herding.prompts.model import REGEX_SECONDS, Contract, validator
from herding.values import Verdict

_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\n(.*?)\n?```\s*\Z", re.DOTALL)


class Trimmer:
    """Passes an answer on, piece by piece, up to the stop marker; never shows the marker, not even half of it.

    White space before the marker is dropped with it.
    """

    def __init__(self, contract: Contract) -> None:
        self._marker = contract.stop_marker
        self._held = ""
        self.done = False

    def feed(self, piece: str) -> str:
        """The part of the answer that is certain after `piece`; empty once the marker was seen."""
        if self.done:
            return ""
        if self._marker is None:
            return piece
        text = self._held + piece
        found = text.find(self._marker)
        if found >= 0:
            self.done, self._held = True, ""
            return text[:found].rstrip()
        certain = text[: len(text) - _overlap(text, self._marker)].rstrip()
        self._held = text[len(certain) :]
        return certain

    def end(self) -> str:
        """What was held back although no marker came."""
        rest, self._held = self._held, ""
        return rest


def judge(contract: Contract, answer: str, *, marker_seen: bool) -> Verdict:
    """Whether the trimmed `answer` keeps the contract, and the first reason why not."""
    if contract == Contract():
        return Verdict()
    reason = _breach(contract, answer, marker_seen=marker_seen)
    return Verdict(ok=reason is None, reason=reason)


def _breach(contract: Contract, answer: str, *, marker_seen: bool) -> str | None:
    words = len(answer.split())
    if contract.stop_marker and not marker_seen:
        return f"the marker {contract.stop_marker} is missing"
    if contract.max_words and words > contract.max_words:
        return f"{words} words, at most {contract.max_words} are allowed"
    if contract.max_chars and len(answer) > contract.max_chars:
        return f"{len(answer)} characters, at most {contract.max_chars} are allowed"
    if contract.regex and not _matches(contract.regex, answer):
        return "the answer does not match the pattern"
    return _json_breach(contract.json_schema, answer) if contract.json_schema is not None else None


def _matches(pattern: str, answer: str) -> bool:
    try:
        return regex.search(pattern, answer, timeout=REGEX_SECONDS) is not None
    except TimeoutError:
        return False


def _json_breach(schema: dict[str, Any], answer: str) -> str | None:
    fenced = _FENCE.match(answer)
    try:
        data = json.loads(fenced[1] if fenced else answer)
    except (ValueError, RecursionError):
        return "the answer is not JSON"
    try:
        error = next(validator(schema).iter_errors(data), None)
    except (Unresolvable, RecursionError, TimeoutError) as broken:
        return f"the JSON cannot be checked against the schema: {type(broken).__name__}"
    return f"the JSON does not fit the schema: {error.message[:200]}" if error else None


def _overlap(text: str, marker: str) -> int:
    """How many characters at the end of `text` may be the beginning of `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(marker[:size])), 0)
