"""Response filters: one for the whole text, and one that works while the text streams."""

from __future__ import annotations

from typing import Any

from herding.plugins import RefusedError, StreamFilter


def without_words(text: str, argument: Any) -> str:
    """Refuse a response that has one of the words in the argument."""
    for word in argument:
        if word.casefold() in text.casefold():
            raise RefusedError(f"it has the word '{word}'")
    return text


class MaskDigits(StreamFilter):
    """Replaces each digit by the argument, which is # by default."""

    def feed(self, text: str) -> str:
        """Return the text with its digits replaced. A digit never depends on what follows, so nothing is held back."""
        mask = "#" if self.argument is None else str(self.argument)
        return "".join(mask if letter.isdigit() else letter for letter in text)
