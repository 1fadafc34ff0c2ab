"""Invented and real names, and the split that keeps some of them for evaluation only."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence

from training.cria import words

_HELD_OUT_SHARE = 8
"""One name in this many is reserved for evaluation."""


def is_held_out(name: str) -> bool:
    """Return whether a single-word name is reserved for evaluation; the same on every machine and run."""
    return zlib.crc32(name.casefold().encode()) % _HELD_OUT_SHARE == 0


class Names:
    """Makes names of people, places, companies and products from one random stream.

    With `held_out` every name holds only reserved words, otherwise none of them.
    """

    def __init__(self, rng: random.Random, *, held_out: bool) -> None:
        self._rng = rng
        self._held_out = held_out

    def invented(self, endings: Sequence[str] = ()) -> str:
        """Return one invented capitalised word of one to four syllables."""
        return self._until_ours(lambda: self._syllables(endings))

    def person(self) -> str:
        """Return a person's name of one to three words."""
        roll = self._rng.random()
        if roll < 0.45:
            return self.first_name()
        if roll < 0.88:
            return f"{self.first_name()} {self.last_name()}"
        if roll < 0.92:
            return f"{self.first_name()} {self._rng.choice('ABCDEFGHIJKLMNOPRSTW')}. {self.last_name()}"
        if roll < 0.96:
            return f"{self.first_name()} {self.first_name()} {self.last_name()}"
        return f"{self._rng.choice('ABCDEFGHIJKLMNOPRSTW')}. {self.last_name()}"

    def first_name(self) -> str:
        """Return a first name, real or invented, sometimes hyphenated."""
        roll = self._rng.random()
        if roll < 0.4:
            return self._known(words.FIRST_NAMES)
        if roll < 0.95:
            return self.invented()
        return f"{self._known(words.FIRST_NAMES)}-{self._rng.choice([self.invented(), self._known(words.FIRST_NAMES)])}"

    def last_name(self) -> str:
        """Return a family name, real or invented, with the particles of many languages."""
        roll = self._rng.random()
        if roll < 0.35:
            return self._known(words.LAST_NAMES)
        if roll < 0.86:
            return self.invented()
        if roll < 0.93:
            return (
                self._rng.choice(["O'", "Mc", "Mac", "D'", "van ", "de ", "von ", "de la ", "al-", "El "])
                + self.invented()
            )
        return f"{self.invented()}-{self.invented()}"

    def city(self) -> str:
        """Return a town, real or invented."""
        roll = self._rng.random()
        if roll < 0.35:
            return self._known(words.CITIES)
        if roll < 0.65:
            return self.invented()
        if roll < 0.88:
            return self.invented(words.CITY_ENDINGS)
        head = self._rng.choice(
            [
                "New",
                "Port",
                "San",
                "Santa",
                "Saint",
                "St.",
                "Fort",
                "Bad",
                "Upper",
                "Lower",
                "Old",
                "East",
                "West",
                "El",
                "La",
            ]
        )
        tail = self._rng.choice(["Falls", "City", "Bay", "Hill", "Springs", "Beach", "Creek"])
        return self._rng.choice([f"{head} {self.invented()}", f"{self.invented()} {tail}", f"{self.invented()}-on-Sea"])

    def country(self) -> str:
        """Return a country, now and then an invented one."""
        if self._rng.random() < 0.8:
            return self._rng.choice(words.COUNTRIES)
        return self.invented(words.COUNTRY_ENDINGS)

    def company(self) -> str:
        """Return a company, real or invented."""
        roll = self._rng.random()
        kind = self._rng.choice(words.COMPANY_KINDS)
        if roll < 0.2:
            return self._rng.choice(words.COMPANIES)
        if roll < 0.42:
            return self.invented()
        if roll < 0.68:
            return f"{self.invented()} {kind}"
        if roll < 0.78:
            return f"{self._rng.choice(words.COMPANY_WORDS)} {self._rng.choice(words.COMPANY_WORDS)} {kind}"
        if roll < 0.86:
            return f"{self._rng.choice(words.COMPANY_WORDS)} {self.invented()}"
        if roll < 0.93:
            return self.invented() + self._rng.choice(
                ["Tech", "Soft", "Corp", "Net", "Bank", "Works", "Labs", ".com", ".ai", "ex", "ix"]
            )
        return f"{self.invented()} & {self._rng.choice([self.invented(), self.last_name(), 'Sons'])}"

    def product(self) -> str:
        """Return a product, mostly invented, often with a number."""
        roll = self._rng.random()
        number = self._rng.choice([str(self._rng.randint(1, 20)), str(self._rng.randint(1, 99) * 100)])
        head = self._rng.choice(words.PRODUCT_HEADS)
        if roll < 0.12:
            return self._rng.choice(words.PRODUCTS)
        if roll < 0.35:
            return self.invented()
        if roll < 0.6:
            return f"{self.invented()} {number}"
        if roll < 0.8:
            return f"{self.invented()} {head}"
        if roll < 0.9:
            return f"{self.invented()}{head} {number}"
        return f"{self.invented()} {head}{number}"

    def title(self) -> str:
        """Return a title of a book, film, song, band or team; quoted or bare."""
        noun = self._rng.choice(words.NEUTRAL_NOUNS).capitalize()
        colour = self._rng.choice(words.COLOURS).title()
        title = self._rng.choice(
            [
                self.invented(),
                f"The {colour} {noun}",
                f"{self.invented()} {noun}",
                f"The {noun} of {self.invented()}",
                f"{noun} and {noun}",
            ]
        )
        return self._rng.choice([title, title, f'"{title}"'])

    def _known(self, names: Sequence[str]) -> str:
        return self._until_ours(lambda: self._rng.choice(names))

    def _until_ours(self, make: Callable[[], str]) -> str:
        name = make()
        while is_held_out(name) != self._held_out:
            name = make()
        return name

    def _syllables(self, endings: Sequence[str]) -> str:
        rng = self._rng
        count = 1 if endings else rng.choice([1, 2, 2, 2, 2, 2, 3, 3])
        plain = rng.random() < 0.75
        word = "" if rng.random() < 0.85 else rng.choice("aeiou")
        for _ in range(count):
            word += rng.choice("bcdfghjklmnprstvwyz" if plain else words.ONSETS) + rng.choice(
                "aaaeeeiiioouy" if plain else words.VOWELS
            )
            if rng.random() < 0.18:
                word += rng.choice("nnrrllsmt" if plain else words.CODAS)
        if endings:
            word += rng.choice(endings)
        elif rng.random() < 0.35:
            word += rng.choice(words.CODAS)
        if rng.random() < 0.05:
            word = self._accented(word)
        return word.capitalize()

    def _accented(self, word: str) -> str:
        places = [i for i, letter in enumerate(word) if letter in words.ACCENTS]
        if not places:
            return word
        place = self._rng.choice(places)
        return word[:place] + self._rng.choice(words.ACCENTS[word[place]]) + word[place + 1 :]
