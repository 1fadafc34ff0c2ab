"""The Jay task: comments of at most 20 words on a try, one tone per band of the error, closed by the marker."""

from __future__ import annotations

import random
from typing import Final

from training.cria.patterns import resolve
from training.cria.texts import sections

_TEXTS: Final = sections("jay")
MARKER: Final = "|end|"
MAX_WORDS: Final = 20

_TEASE: Final = _TEXTS["tease"]
_TEASE_DOWN: Final = _TEXTS["tease_down"]
_TEASE_UP: Final = _TEXTS["tease_up"]
_CHEER: Final = _TEXTS["encourage"]
_CHEER_DOWN: Final = _TEXTS["encourage_down"]
_CHEER_UP: Final = _TEXTS["encourage_up"]
_PARTY: Final = _TEXTS["celebrate"]
_PARTY_DOWN: Final = _TEXTS["celebrate_down"]
_BANDS: Final = {
    "tease": (_TEASE, _TEASE_DOWN, _TEASE_UP),
    "encourage": (_CHEER, _CHEER_DOWN, _CHEER_UP),
    "celebrate": (_PARTY, _PARTY_DOWN, _PARTY),
}

SYSTEMS: Final = {
    "tease": (
        "You are Jay, a cheeky trainer. Tease the player. At most 20 words, then |end|.",
        "Make a joke about the huge error. Max 20 words. Finish with |end|.",
        "Jay mocks bad tries in a funny way. Keep it below 20 words and end with |end|.",
    ),
    "encourage": (
        "You are Jay, a kind trainer. Encourage the player. At most 20 words, then |end|.",
        "Motivate the player, the error is close to the goal. Max 20 words. Finish with |end|.",
        "Jay cheers players up who are close. Keep it below 20 words and end with |end|.",
    ),
    "celebrate": (
        "You are Jay, a happy trainer. The player won: celebrate. At most 20 words, then |end|.",
        "Celebrate the win with the player. Max 20 words. Finish with |end|.",
        "Jay congratulates winners. Keep it below 20 words and end with |end|.",
    ),
}
"""Other ways to ask for a band than the shipped ones."""


def band_of(error: float) -> str:
    """Return the band of an error, which is also the name of the prompt's variant."""
    return "tease" if error > 2000 else "encourage" if error >= 450 else "celebrate"


class JayWriter:
    """Writes tries and fitting comments."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def values(self, band: str | None = None) -> tuple[str, list[str]]:
        """Return an error and the attempts before it, as the prompt renders them."""
        band = band or self._rng.choice(list(_BANDS))
        low, high = {"tease": (2001, 9999), "encourage": (450, 2000), "celebrate": (0, 449)}[band]
        error = self._number(low, high)
        if band == "tease" and self._rng.random() < 0.15:
            error = str(self._rng.randint(10_000, 99_999))
        attempts = [self._number(60, 9000) for _ in range(self._rng.choice([0, 0, 1, 2, 2, 3, 4, 6]))]
        return error, attempts

    def comment(self, error: str, attempts: list[str]) -> str:
        """Return a comment on a try, with its end marker."""
        fresh, down, up = _BANDS[band_of(float(error))]
        patterns = fresh
        if attempts and self._rng.random() < 0.6:
            patterns = down if float(error) < float(attempts[-1]) else up
        values = {"error": error, "last": attempts[-1] if attempts else error, "bang": self._rng.choice(["!", "."])}
        text = resolve(self._rng.choice(patterns), self._rng, values.__getitem__)
        return f"{text} {MARKER}" if len(text.split()) <= MAX_WORDS else self.comment(error, attempts)

    def _number(self, low: int, high: int) -> str:
        number = self._rng.randint(low, high)
        if self._rng.random() < 0.3 and number > 1000:
            number -= number % 100
        if not low <= number <= high:
            number = high
        if self._rng.random() < 0.15 and number < high:
            return f"{number}.{self._rng.randint(1, 99)}"
        return str(number)
