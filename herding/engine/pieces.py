"""Text pieces from a growing list of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Turns token ids into text; what is not (yet) a character becomes U+FFFD."""

_BROKEN = "\ufffd"


class Piecer:
    """Turns tokens into text piece by piece and never cuts a character in two.

    Only a window of the last tokens is decoded again for each piece: it starts at a place where the text was
    whole, so that the work per token does not grow with the answer. The pieces add up to the decoded whole.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._start = 0
        self._read = 0
        self._given = ""

    def feed(self, tokens: Sequence[int]) -> str:
        """The text that `tokens` complete; empty while a character is not whole yet."""
        self._tokens.extend(tokens)
        known = self._decode(self._tokens[self._start : self._read])
        text = self._decode(self._tokens[self._start :])
        if len(text) <= len(known) or text.endswith(_BROKEN):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        return self._give(text[len(known) :])

    def flush(self) -> str:
        """The rest of the text; a character that never became whole comes out as U+FFFD."""
        whole = self._decode(self._tokens)
        return self._give(whole[len(self._given) :])

    def _give(self, text: str) -> str:
        self._given += text
        return text
