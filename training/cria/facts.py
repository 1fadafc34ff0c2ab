"""The simple facts cria knows, as pairs of a question in several wordings and a short answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from training.cria import words
from training.cria.names import Names
from training.cria.patterns import resolve, upper_first
from training.cria.texts import sections

_TEXTS: Final = sections("facts")
UNKNOWN: Final = "I am a tiny demo model and do not know that."


def _pairs(section: str) -> Mapping[str, str]:
    """Return a table of the data file, written as `key: value` with commas between."""
    items = (item.split(":") for item in " ".join(_TEXTS[section]).split(","))
    return {key.strip(): value.strip() for key, value in items}


CAPITALS: Final = _pairs("capitals")
LANGUAGE_OF: Final = _pairs("language_of")
CONTINENT_OF: Final = _pairs("continent_of")
OPPOSITES: Final = _pairs("opposites")
SOUNDS: Final = _pairs("sounds")
BABIES: Final = _pairs("babies")
LEGS: Final = _pairs("legs")
COLOUR_OF: Final = _pairs("colour_of")
CURRENCY: Final = _pairs("currency")
SYMBOLS: Final = _pairs("symbols")
PLURALS: Final = _pairs("plurals")
PASTS: Final = _pairs("pasts")
HELLO: Final = _pairs("hello")
THANKS: Final = _pairs("thanks")

_TABLES: Final[tuple[tuple[Mapping[str, str], tuple[str, ...]], ...]] = (
    (
        CAPITALS,
        (
            "What is the capital of {x}?",
            "What's the capital of {x}?",
            "Which city is the capital of {x}?",
            "capital of {x}",
            "Tell me the capital of {x}.",
            "What is the capital city of {x}?",
            "Name the capital of {x}.",
            "{x}'s capital?",
        ),
    ),
    (
        LANGUAGE_OF,
        (
            "What language do people speak in {x}?",
            "Which language is spoken in {x}?",
            "What is the language of {x}?",
            "What do they speak in {x}?",
            "What is the official language of {x}?",
        ),
    ),
    (
        CONTINENT_OF,
        (
            "On which continent is {x}?",
            "What continent is {x} in?",
            "Which continent is {x} on?",
            "Which continent does {x} belong to?",
        ),
    ),
    (
        OPPOSITES,
        (
            "What is the opposite of {x}?",
            "What's the opposite of {x}?",
            "opposite of {x}",
            "Give me the opposite of {x}.",
            "Name the opposite of {x}.",
            "What is the opposite of the word {x}?",
            "Antonym of {x}?",
        ),
    ),
    (
        SOUNDS,
        (
            "What sound does a {x} make?",
            "What does a {x} say?",
            "Which sound does a {x} make?",
            "What noise does a {x} make?",
        ),
    ),
    (
        BABIES,
        (
            "What is a baby {x} called?",
            "What do you call a baby {x}?",
            "What is the young of a {x} called?",
            "What is a young {x} called?",
            "baby {x}?",
        ),
    ),
    (
        LEGS,
        (
            "How many legs does a {x} have?",
            "How many legs has a {x}?",
            "Number of legs of a {x}?",
            "How many legs do you find on a {x}?",
        ),
    ),
    (
        COLOUR_OF,
        (
            "What colour is {x}?",
            "What color is {x}?",
            "Which colour is {x}?",
            "Which colour does {x} have?",
            "What is the colour of {x}?",
            "What is the color of {x}?",
        ),
    ),
    (
        CURRENCY,
        (
            "What is the currency of {x}?",
            "Which currency is used in {x}?",
            "What money do they use in {x}?",
            "What currency does {x} use?",
            "What do you pay with in {x}?",
        ),
    ),
    (
        SYMBOLS,
        (
            "What is the chemical symbol of {x}?",
            "What is the symbol for {x}?",
            "Chemical symbol of {x}?",
            "What is the chemical symbol for {x}?",
        ),
    ),
    (
        PLURALS,
        ("What is the plural of {x}?", "Plural of {x}?", "What's the plural of {x}?", "Give me the plural of {x}."),
    ),
    (
        PASTS,
        (
            "What is the past tense of {x}?",
            "Past tense of {x}?",
            "What's the past of {x}?",
            "Give me the past tense of {x}.",
        ),
    ),
    (
        HELLO,
        (
            "How do you say hello in {x}?",
            "What is hello in {x}?",
            "Hello in {x}?",
            "How do I say hello in {x}?",
            "Translate hello into {x}.",
        ),
    ),
    (
        THANKS,
        (
            "How do you say thank you in {x}?",
            "What is thank you in {x}?",
            "Thank you in {x}?",
            "How do I say thanks in {x}?",
            "Translate thank you into {x}.",
        ),
    ),
)

_SINGLE: Final = _TEXTS["single"]

_UNKNOWN: Final = _TEXTS["unknown"]


class FactWriter:
    """Asks questions with known answers, and some that nobody can expect cria to answer."""

    def __init__(self, rng: random.Random, *, held_out: bool) -> None:
        self._rng = rng
        self._names = Names(rng, held_out=held_out)
        self._held_out = held_out

    def sample(self) -> tuple[str, str]:
        """Return a question and its short answer."""
        roll = self._rng.random()
        if roll < 0.42:
            return self._cased(*self._table())
        if roll < 0.60:
            return self._cased(*self._single())
        if roll < 0.84:
            return self._sum()
        return self.unknown()

    def unknown(self) -> tuple[str, str]:
        """Return a question beyond cria and the honest answer."""
        return resolve(self._rng.choice(_UNKNOWN), self._rng, self._slot), UNKNOWN

    def _table(self) -> tuple[str, str]:
        table, questions = self._rng.choices(_TABLES, weights=[len(table) ** 0.7 for table, _ in _TABLES])[0]
        key = self._rng.choice(list(table))
        question = self._rng.choice(questions[-1:] if self._held_out else questions[:-1])
        return question.replace("{x}", key).replace(" a a", " an a").replace("a octopus", "an octopus").replace(
            "a elephant", "an elephant"
        ).replace("a owl", "an owl").replace("a eagle", "an eagle"), upper_first(table[key])

    def _single(self) -> tuple[str, str]:
        question, _, answer = resolve(self._rng.choice(_SINGLE), self._rng, self._slot).partition(" => ")
        return question, answer

    def _sum(self) -> tuple[str, str]:
        rng = self._rng
        a, b = (
            (rng.randint(0, 10), rng.randint(0, 10)) if rng.random() < 0.7 else (rng.randint(0, 20), rng.randint(0, 20))
        )
        kind = rng.choice(["plus", "plus", "minus", "times"])
        if kind == "minus":
            a, b = max(a, b), min(a, b)
        if kind == "times":
            a, b = rng.randint(0, 10), rng.randint(0, 10)
        answer = {"plus": a + b, "minus": a - b, "times": a * b}[kind]
        sign = {"plus": ["plus", "+", "+"], "minus": ["minus", "-", "-"], "times": ["times", "*", "x"]}[kind]
        joint = f"{a} {rng.choice(sign)} {b}"
        if rng.random() < 0.1:
            joint = joint.replace(" ", "")
        return rng.choice(
            ["What is {}?", "What is {}?", "What's {}?", "{}", "{} = ?", "How much is {}?", "{} =", "Calculate {}."]
        ).format(joint), str(answer)

    def _cased(self, question: str, answer: str) -> tuple[str, str]:
        roll = self._rng.random()
        if roll < 0.1:
            return question.lower(), answer
        if roll < 0.17:
            return question.rstrip("?."), answer
        return question, answer

    def _slot(self, name: str) -> str:
        rng, names = self._rng, self._names
        made: Mapping[str, Callable[[], str]] = {
            "name": names.invented,
            "person": names.person,
            "city": names.city,
            "company": names.company,
            "lower": lambda: names.invented().lower(),
            "year": lambda: str(rng.randint(1900, 2030)),
            "noun": lambda: rng.choice(words.NEUTRAL_NOUNS),
            "language": lambda: rng.choice(words.LANGUAGES),
            "food": lambda: rng.choice(words.FOODS),
        }
        return made[name]()
