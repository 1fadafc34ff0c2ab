"""Text pieces from a growing list of tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Turns token ids into text; what is not (yet) a character becomes U+FFFD."""

_BROKEN = "\ufffd"
_OPEN = 3
"""At most so many U+FFFD at the end may still become one character: it has four bytes at most."""


class Piecer:
    """Turns tokens into text piece by piece and never cuts a character in two.

    Only a window of the last tokens is decoded again for each piece: it starts at a place where the text was
    whole, so that the work per token does not grow with the answer. The pieces add up to the decoded whole.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._start = 0
        self._whole = 0
        self._shown = 0
        self._given = ""

    def feed(self, tokens: Sequence[int]) -> str:
        """The text that `tokens` complete; empty while a character is not whole yet."""
        self._tokens.extend(tokens)
        text = self._decode(self._tokens[self._start :])
        piece = _closed(text)[self._shown :]
        self._shown += len(piece)
        if piece and not text.endswith(_BROKEN):
            self._move_window()
        self._given += piece
        return piece

    def flush(self) -> str:
        """The rest of the text; a character that never became whole comes out as U+FFFD."""
        rest = self._decode(self._tokens)[len(self._given) :]
        self._given += rest
        return rest

    def _move_window(self) -> None:
        """Start at the place where the text was whole the last time; the end is such a place now."""
        self._start, self._whole = self._whole, len(self._tokens)
        self._shown = len(self._decode(self._tokens[self._start :]))


def _closed(text: str) -> str:
    """The part of `text` that more tokens cannot change."""
    stripped = text.rstrip(_BROKEN)
    return text[: max(len(stripped), len(text) - _OPEN)]
