"""The sentiment task: short reviews and messages with a known tone."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from training.cria import words
from training.cria.names import Names
from training.cria.patterns import resolve, upper_first
from training.cria.texts import sections

_TEXTS: Final = sections("sentiment")


def _words(section: str) -> tuple[str, ...]:
    return tuple(word.strip() for line in _TEXTS[section] for word in line.split(",") if word.strip())


THINGS: Final = _words("things")

GOOD: Final = _words("good")

BAD: Final = _words("bad")

FLAT: Final = _words("flat")

POSITIVE: Final = _TEXTS["positive"]

NEGATIVE: Final = _TEXTS["negative"]

NEUTRAL: Final = _TEXTS["neutral"]

_LOVE: Final = ("love", "loved", "like", "liked", "adore", "adored", "enjoyed", "enjoy", "appreciate")
_HATE: Final = ("hate", "hated", "dislike", "disliked", "detest", "despise", "loathe", "regret")
_HAPPY: Final = (
    "happy",
    "pleased",
    "satisfied",
    "delighted",
    "thrilled",
    "impressed",
    "grateful",
    "excited",
    "glad",
    "in love",
)
_UNHAPPY: Final = (
    "unhappy",
    "disappointed",
    "dissatisfied",
    "angry",
    "upset",
    "annoyed",
    "frustrated",
    "furious",
    "sad",
    "fed up",
    "disgusted",
    "not happy",
    "not satisfied",
    "not pleased",
    "not impressed",
)
_ROOMS: Final = (
    "kitchen",
    "office",
    "hall",
    "garage",
    "garden",
    "library",
    "lobby",
    "station",
    "city",
    "basement",
    "north",
)
_FACTS: Final = tuple(
    pattern
    for pattern in NEUTRAL
    if pattern.startswith(
        ("The {thing} [", "[The|This|A] {thing} [is", "[I|We|They", "{person}", "The meeting", "It [lasts", "[It|The")
    )
    and "{flat}" not in pattern
)
_PATTERNS: Final = {"positive": POSITIVE, "negative": NEGATIVE, "neutral": NEUTRAL, "fact": _FACTS}
_RESERVED: Final = 9
"""One pattern in this many is reserved for evaluation."""


_LISTS: Final[Mapping[str, Sequence[str]]] = {
    "thing": THINGS,
    "good": GOOD,
    "bad": BAD,
    "flat": FLAT,
    "good1": [word for word in GOOD if " " not in word],
    "bad1": [word for word in BAD if " " not in word],
    "good2": ("kind", "friendly", "helpful", "polite", "great", "lovely", "patient", "wonderful", "funny", "nice"),
    "bad2": ("rude", "unfriendly", "unhelpful", "impolite", "terrible", "lazy", "arrogant", "mean", "cold", "nasty"),
    "love": _LOVE,
    "hate": _HATE,
    "happy": _HAPPY,
    "unhappy": _UNHAPPY,
    "room": _ROOMS,
    "weekday": words.WEEKDAYS,
    "month": words.MONTHS,
    "colour": words.COLOURS,
    "material": words.MATERIALS,
    "job": words.JOBS,
}


class SentimentWriter:
    """Writes short texts of a given tone; with `reserved` from phrases that training never shows."""

    def __init__(self, rng: random.Random, *, held_out: bool, reserved: bool = False) -> None:
        self._rng = rng
        self._names = Names(rng, held_out=held_out)
        self._reserved = reserved
        self._made: Mapping[str, Callable[[], str]] = {
            "person": self._names.person,
            "city": self._names.city,
            "number": lambda: str(rng.randint(2, 90)),
            "hour": lambda: rng.choice(
                [f"{rng.randint(1, 12)} pm", f"{rng.randint(6, 20)}:{rng.choice(['00', '15', '30'])}", "noon"]
            ),
        }

    def sample(self) -> tuple[str, str]:
        """Return a text and its tone: positive, negative or neutral."""
        tone = self._rng.choice(["positive"] * 4 + ["negative"] * 4 + ["neutral"] * 3)
        count = self._rng.choice([1, 1, 1, 1, 2, 2, 3])
        sentences = [self.sentence(tone) for _ in range(count)]
        if count > 1 and tone != "neutral" and self._rng.random() < 0.35:
            sentences.insert(self._rng.randrange(count), self.sentence("fact"))
        text = " ".join(sentences)
        roll = self._rng.random()
        if roll < 0.12:
            text = text.lower()
        elif roll < 0.15:
            text = text.upper()
        if self._rng.random() < 0.15:
            text = text.rstrip(".!")
        return text, tone

    def sentence(self, tone: str) -> str:
        """Return one sentence of a tone."""
        patterns = _PATTERNS[tone]
        index = self._rng.randrange(len(patterns))
        while (index % _RESERVED == 4) != self._reserved:
            index = self._rng.randrange(len(patterns))
        end = (
            self._rng.choice([".", ".", ".", "!", ""])
            if tone in ("neutral", "fact")
            else self._rng.choice([".", ".", ".", "!", "!", "!!", "", "..."])
        )
        text = resolve(patterns[index], self._rng, self._slot).replace(" ,", ",")
        extra = text.count("{end}") - 1
        text = text.replace("{end}", "", extra) if extra else text
        return upper_first(text.replace(" {end}", end).replace("{end}", end))

    def _slot(self, name: str) -> str:
        if name in _LISTS:
            return self._rng.choice(_LISTS[name])
        if name in self._made:
            return self._made[name]()
        return "{" + name + "}"
