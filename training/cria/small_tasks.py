"""The small tasks: Scattergories, numbers in words, greetings and polite rewriting."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

from training.cria import words
from training.cria.names import Names
from training.cria.patterns import resolve, upper_first
from training.cria.texts import sections

_TEXTS: Final = sections("polite")
GREETINGS: Final[Mapping[str, str]] = {
    "Czech": "Ahoj",
    "Danish": "Hej",
    "Dutch": "Hallo",
    "English": "Hello",
    "Esperanto": "Saluton",
    "Finnish": "Hei",
    "French": "Bonjour",
    "German": "Guten Tag",
    "Hawaiian": "Aloha",
    "Hungarian": "Szia",
    "Indonesian": "Halo",
    "Irish": "Dia duit",
    "Italian": "Ciao",
    "Norwegian": "Hei",
    "Polish": "Cześć",
    "Portuguese": "Olá",
    "Romanian": "Bună",
    "Spanish": "Hola",
    "Swahili": "Jambo",
    "Swedish": "Hej",
    "Turkish": "Merhaba",
    "Welsh": "Helo",
}

_SCATTER: Final[Mapping[str, tuple[str, ...]]] = {
    "animal": words.ANIMALS,
    "food": words.FOODS + words.FRUITS[:-7] + words.VEGETABLES,
    "country": words.COUNTRIES,
    "city": words.CITIES,
    "job": words.JOBS,
    "colour": tuple(word for word in words.COLOURS if " " not in word),
    "sport": words.SPORTS,
    "instrument": words.INSTRUMENTS,
    "drink": words.DRINKS,
    "language": words.LANGUAGES,
    "fruit": words.FRUITS[:-7],
    "vegetable": words.VEGETABLES,
    "first name": tuple(name for name in words.FIRST_NAMES if name.isascii()),
    "company": words.COMPANIES,
    "piece of clothing": words.CLOTHES,
    "vehicle": words.VEHICLES,
}
_SCATTER_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "animal": ("animal", "animals", "an animal", "beast", "Animal"),
    "food": ("food", "foods", "something to eat", "dish", "Food"),
    "country": ("country", "countries", "a country", "Country"),
    "city": ("city", "cities", "a city", "town", "City"),
    "job": ("job", "profession", "occupation", "jobs"),
    "colour": ("colour", "color", "colours", "colors", "a colour"),
    "sport": ("sport", "sports", "a sport", "Sport"),
    "instrument": ("instrument", "musical instrument", "instruments"),
    "drink": ("drink", "drinks", "beverage", "something to drink"),
    "language": ("language", "languages"),
    "fruit": ("fruit", "fruits", "a fruit"),
    "vegetable": ("vegetable", "vegetables"),
    "first name": ("first name", "name", "a name", "boy or girl name"),
    "company": ("company", "brand", "companies"),
    "piece of clothing": ("clothes", "piece of clothing", "clothing"),
    "vehicle": ("vehicle", "vehicles", "means of transport"),
}
NO_WORD: Final = "I know none."


def scattergories(rng: random.Random) -> tuple[str, str, str]:
    """Return a category, a letter and an answer that fits both."""
    key = rng.choice(list(_SCATTER))
    letter = rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") if rng.random() < 0.12 else rng.choice(_SCATTER[key])[0].upper()
    fitting = scatter_answers(key, letter)
    name = rng.choice(_SCATTER_NAMES[key]) if rng.random() < 0.6 else key
    shown = letter if rng.random() < 0.75 else letter.lower()
    return name, shown, rng.choice(fitting[:2]) if fitting else NO_WORD


def scatter_answers(category: str, letter: str) -> list[str]:
    """Return the words cria knows for a category and a letter, first letter in upper case, single words first."""
    key = next(key for key, names in _SCATTER_NAMES.items() if category in names or category == key)
    return sorted(
        {upper_first(word) for word in _SCATTER[key] if word[0].upper() == letter.upper()},
        key=lambda word: (word.count(" "), len(word), word),
    )


_UNITS: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS: Final = ["zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def in_words(number: int, *, hyphen: str = "-", joint: str = " and ") -> str:
    """Return a number from 0 to 999,999 in English words."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        return _TENS[number // 10] + (hyphen + _UNITS[number % 10] if number % 10 else "")
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    head, rest = divmod(number, size)
    tail = ""
    if rest:
        tail = (joint if rest < 100 else " ") + in_words(rest, hyphen=hyphen, joint=joint)
    return f"{in_words(head, hyphen=hyphen, joint=joint)} {name}{tail}"


def number_pair(rng: random.Random) -> tuple[str, str]:
    """Return a number in words, in one of several spellings, and in digits."""
    number = rng.randrange(10 ** rng.choice([1, 2, 2, 2, 3, 3, 3, 4, 4, 6]))
    if rng.random() < 0.25 and number > 100:
        number -= number % rng.choice([10, 100, 1000])
    text = in_words(number, hyphen=rng.choice(["-", "-", " "]), joint=rng.choice([" and ", " and ", " "]))
    return rng.choice([text, text, text, upper_first(text), text.upper(), text + "."]), str(number)


def greeting(rng: random.Random, *, held_out: bool) -> tuple[str, str, str]:
    """Return a name, a language and the greeting."""
    names = Names(rng, held_out=held_out)
    name = names.person() if rng.random() < 0.6 else names.first_name()
    if rng.random() < 0.1:
        name = rng.choice([name.lower(), "Mr " + name, "Aunt " + name, "Dr. " + name])
    language = rng.choice(list(GREETINGS))
    return name, language, f"{GREETINGS[language]}, {name}!"


_REST: Final = _TEXTS["rest"]
_VERBS: Final = tuple(word.strip() for line in _TEXTS["verbs"] for word in line.split(",") if word.strip())
_ADJECTIVES: Final = [
    "new",
    "old",
    "big",
    "small",
    "red",
    "blue",
    "green",
    "final",
    "first",
    "last",
    "other",
    "long",
    "short",
    "clean",
    "empty",
    "full",
    "important",
    "monthly",
    "heavy",
    "broken",
]
_PLACES: Final = [
    "kitchen",
    "office",
    "garden",
    "garage",
    "cellar",
    "table",
    "version_cache",
    "car",
    "shop",
    "hall",
    "room",
    "corner",
]

_POLITE: Final = _TEXTS["pairs"]


class PoliteWriter:
    """Writes blunt messages and their polite twins."""

    def __init__(self, rng: random.Random, *, held_out: bool) -> None:
        self._rng = rng
        self._names = Names(rng, held_out=held_out)

    def sample(self) -> tuple[str, str]:
        """Return a blunt message and the polite one."""
        blunt, polite = self._order() if self._rng.random() < 0.55 else self._phrase()
        roll = self._rng.random()
        if roll < 0.15 and blunt.endswith("."):
            blunt = blunt[:-1] + self._rng.choice(["!", "", "!!"])
        if 0.15 < roll < 0.25:
            blunt = blunt[0].lower() + blunt[1:] if not blunt.startswith("I ") else blunt
        return blunt, polite

    def _order(self) -> tuple[str, str]:
        verb = self._rng.choice(_VERBS)
        rest = resolve(self._rng.choice(_REST), self._rng, self._slot)
        polite = f"Could you please {verb} {rest}?"
        head = self._rng.choice(
            ["", "", "", "", "", "", "You must ", "You have to ", "Just ", "I want you to ", "You will "]
        )
        return upper_first(f"{head}{verb} {rest}."), polite

    def _phrase(self) -> tuple[str, str]:
        pair = self._rng.choice(_POLITE)
        values: dict[str, str] = {}

        def fill(name: str) -> str:
            base = name.removeprefix("up")
            values.setdefault(base, self._slot(base))
            return upper_first(values[base]) if name != base else values[base]

        blunt, _, polite = resolve(pair, self._rng, fill).partition(" => ")
        return blunt, polite

    def _slot(self, name: str) -> str:
        rng = self._rng
        nouns = words.NEUTRAL_NOUNS + words.CLOTHES + words.TOOLS
        if name == "what":
            return resolve(
                rng.choice(
                    [
                        "a {noun}",
                        "the {noun}",
                        "my {noun}",
                        "some {food}",
                        "{number} {food}",
                        "a {adj} {noun}",
                        "a glass of {drink}",
                    ]
                ),
                rng,
                self._slot,
            )
        if name == "what2":
            return resolve(
                rng.choice(["the {noun}", "my {noun}", "your {noun}", "the {adj} {noun}", "this {noun}", "the {noun}"]),
                rng,
                self._slot,
            )
        lists = {
            "noun": nouns,
            "food": words.FOODS,
            "drink": words.DRINKS,
            "weekday": words.WEEKDAYS,
            "colour": words.COLOURS,
            "adj": _ADJECTIVES,
            "place": _PLACES,
        }
        if name in lists:
            return str(rng.choice(lists[name]))
        made: Mapping[str, Callable[[], str]] = {
            "person": self._names.first_name,
            "city": self._names.city,
            "number": lambda: rng.choice([str(rng.randint(2, 50)), "two", "three", "ten"]),
            "hour": lambda: f"{rng.randint(1, 12)} o'clock",
        }
        return made[name]()
