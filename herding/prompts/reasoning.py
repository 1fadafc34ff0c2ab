"""Reasoning that a model writes into its text, before the answer, between `<think>` and `</think>`."""

from __future__ import annotations

_TAGS = {"<think>": "</think>", "[THINK]": "[/THINK]"}
"""The beginning and the end of reasoning, as models are trained to write them."""


class ReasoningSplitter:
    """Splits a streamed text into the reasoning at its start and the answer.

    Only a block at the very start counts, after white space at most. `done` is true once the answer has begun: then
    all further text belongs to it.
    """

    __slots__ = ("_end", "_held", "done")

    def __init__(self) -> None:
        self._end = ""
        self._held = ""
        self.done = False

    def feed(self, piece: str) -> tuple[str, str, str]:
        """Take the next piece; return the part with reasoning as it came, the reasoning itself, and the answer."""
        if self.done:
            return "", "", piece
        self._held += piece
        raw = thought = ""
        if not self._end:
            start = self._held.lstrip()
            tag = next((tag for tag in _TAGS if start.startswith(tag)), None)
            if tag is None:
                if not start or any(tag.startswith(start) for tag in _TAGS):
                    return "", "", ""
                return "", "", self._release()
            raw = self._held[: len(self._held) - len(start) + len(tag)]
            self._held, self._end = start[len(tag) :], _TAGS[tag]
        if self._end != _FOUND:
            inside, found, rest = self._held.partition(self._end)
            if not found:
                kept = len(inside) - overlap(inside, self._end)
                self._held = inside[kept:]
                return raw + inside[:kept], inside[:kept], ""
            raw, thought = raw + inside + self._end, inside
            self._held, self._end = rest, _FOUND
        answer = self._held.lstrip()
        raw += self._held[: len(self._held) - len(answer)]
        self._held = answer
        return raw, thought, self._release() if answer else ""

    def end(self) -> tuple[str, str, str]:
        """Return what was held back, in the form of `feed`."""
        if self.done:
            return "", "", ""
        held, inside = self._release(), bool(self._end) and self._end != _FOUND
        return (held, held, "") if inside else ("", "", held)

    def _release(self) -> str:
        held, self._held, self.done = self._held, "", True
        return held


_FOUND = "\0"
"""The end of reasoning was found, and white space may follow."""


def overlap(text: str, marker: str) -> int:
    """Return the number of characters at the end of `text` that may be the beginning of `marker`."""
    longest = min(len(text), len(marker) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(marker[:size])), 0)
