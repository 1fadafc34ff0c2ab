"""One answer while it grows: tokens in, text out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from herding.engine.pieces import Decode, Piecer
from herding.engine.stops import StopFilter
from herding.values import FinishReason, Usage


class Answer:
    """Turns the tokens of one answer into text and knows when and why it ends.

    `usage` counts the tokens of the encoded prompt, and all generated tokens up to and including the one that
    ended the answer: the end-of-turn token, or the token that completed a stop string. Neither is in the text.
    """

    def __init__(self, *, decode: Decode, ends: Collection[int], stops: Sequence[str], input_tokens: int) -> None:
        self._piecer = Piecer(decode)
        self._stops = StopFilter(stops)
        self._watches = bool(stops)
        self._ends = ends
        self._input_tokens = input_tokens
        self._output_tokens = 0
        self.finish_reason: FinishReason | None = None

    @property
    def usage(self) -> Usage:
        """Exact token counts so far."""
        return Usage(self._input_tokens, self._output_tokens, "node")

    def feed(self, tokens: Sequence[int]) -> str:
        """Text that `tokens` bring; tokens after the end are not read."""
        if not self._watches:
            return self._take(tokens)
        return "".join(self._take([token]) for token in tokens)  # one by one: which one completes a stop string?

    def finish(self) -> str:
        """The rest of the text when no more tokens come; says `length` if nothing else ended the answer."""
        if self.finish_reason is None:
            self.finish_reason = "length"
            return self._rest()
        return ""

    def _take(self, tokens: Sequence[int]) -> str:
        if self.finish_reason is not None:
            return ""
        for index, token in enumerate(tokens):
            if token in self._ends:
                self._output_tokens += index + 1
                self.finish_reason = "stop"
                return self._pass(self._piecer.feed(tokens[:index])) + self._rest()
        self._output_tokens += len(tokens)
        return self._pass(self._piecer.feed(tokens))

    def _pass(self, text: str) -> str:
        text = self._stops.feed(text)
        if self._stops.stopped:
            self.finish_reason = "stop"
        return text

    def _rest(self) -> str:
        return self._pass(self._piecer.flush()) + self._stops.flush()
