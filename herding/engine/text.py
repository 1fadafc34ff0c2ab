"""Generated text: detokenization, stop sequences, and the end of a response."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from herding.values import FinishReason, Usage

Decode = Callable[[Sequence[int]], str]
"""Turns token ids into text; bytes that are not (yet) a character become U+FFFD."""

_REPLACEMENT = "\ufffd"
_MAX_INCOMPLETE = 3
"""A character has up to four bytes, so up to three U+FFFD at the end may still become one character."""


class Detokenizer:
    """Turns tokens into text incrementally and never splits a character.

    For each piece only the last few tokens are decoded again, starting where the text was complete, so the work per
    token does not grow with the response. The pieces add up to the decoded whole.
    """

    def __init__(self, decode: Decode) -> None:
        self._decode = decode
        self._tokens: list[int] = []
        self._window_start = 0
        self._last_complete = 0
        self._emitted_in_window = 0
        self._text = ""

    def feed(self, tokens: Sequence[int]) -> str:
        """Return the text that `tokens` complete; empty while a character is incomplete."""
        self._tokens.extend(tokens)
        text = self._decode(self._tokens[self._window_start :])
        piece = _complete_part(text)[self._emitted_in_window :]
        self._emitted_in_window += len(piece)
        if piece and not text.endswith(_REPLACEMENT):
            self._move_window()
        self._text += piece
        return piece

    def flush(self) -> str:
        """Return the rest of the text; a character that was never completed becomes U+FFFD."""
        rest = self._decode(self._tokens)[len(self._text) :]
        self._text += rest
        return rest

    def _move_window(self) -> None:
        """Start the window at the previous complete position; the current end is one too."""
        self._window_start, self._last_complete = self._last_complete, len(self._tokens)
        self._emitted_in_window = len(self._decode(self._tokens[self._window_start :]))


class StopFilter:
    """Passes text on up to the first stop sequence.

    The first stop sequence is the one that is completed first, so the result does not depend on how the text is split
    into pieces. Text that may be the beginning of a stop sequence is held back.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = tuple(stop)
        self._longest = max(map(len, stop), default=0)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Return the part of the held and the new text that cannot belong to a stop sequence."""
        if self.stopped:
            return ""
        text = self._held + text
        start = self._first_stop(text)
        if start is not None:
            self.stopped, self._held = True, ""
            return text[:start]
        cut = len(text) - self._partial_stop_length(text)
        self._held = text[cut:]
        return text[:cut]

    def flush(self) -> str:
        """Return the held text; call it when no more text comes."""
        held, self._held = self._held, ""
        return held

    def _first_stop(self, text: str) -> int | None:
        found = ((text.find(stop), stop) for stop in self._stop)
        ends = [(start + len(stop), start) for start, stop in found if start >= 0]
        return min(ends)[1] if ends else None

    def _partial_stop_length(self, text: str) -> int:
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            tail = text[-length:]
            if any(len(stop) > length and stop.startswith(tail) for stop in self._stop):
                return length
        return 0


class ResponseText:
    """Turns the tokens of one response into text and detects its end.

    `usage` counts the prompt tokens, and all generated tokens including the one that ended the response: the
    end-of-sequence token, or the token that completed a stop sequence. The text contains neither.
    """

    def __init__(self, *, decode: Decode, eos_tokens: Collection[int], stop: Sequence[str], input_tokens: int) -> None:
        self._detokenizer = Detokenizer(decode)
        self._stop_filter = StopFilter(stop)
        self._has_stop = bool(stop)
        self._eos_tokens = eos_tokens
        self._input_tokens = input_tokens
        self._output_tokens = 0
        self.finish_reason: FinishReason | None = None

    @property
    def usage(self) -> Usage:
        """The exact token counts so far."""
        return Usage(self._input_tokens, self._output_tokens, "node")

    def feed(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`; tokens after the end are ignored."""
        if not self._has_stop:
            return self._feed(tokens)
        return "".join(self._feed([token]) for token in tokens)  # one by one, to count up to the completing token

    def finish(self) -> str:
        """Return the rest of the text when no more tokens come; the finish reason is `length` if none is set."""
        if self.finish_reason is None:
            self.finish_reason = "length"
            return self._flush()
        return ""

    def _feed(self, tokens: Sequence[int]) -> str:
        if self.finish_reason is not None:
            return ""
        for index, token in enumerate(tokens):
            if token in self._eos_tokens:
                self._output_tokens += index + 1
                self.finish_reason = "stop"
                return self._filter(self._detokenizer.feed(tokens[:index])) + self._flush()
        self._output_tokens += len(tokens)
        return self._filter(self._detokenizer.feed(tokens))

    def _filter(self, text: str) -> str:
        text = self._stop_filter.feed(text)
        if self._stop_filter.stopped:
            self.finish_reason = "stop"
        return text

    def _flush(self) -> str:
        return self._filter(self._detokenizer.flush()) + self._stop_filter.flush()


def _complete_part(text: str) -> str:
    """Return the part of `text` that more tokens cannot change."""
    stripped = text.rstrip(_REPLACEMENT)
    return text[: max(len(stripped), len(text) - _MAX_INCOMPLETE)]
