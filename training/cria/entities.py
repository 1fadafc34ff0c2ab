"""The entity task: texts with known entities, the categories asked for and the JSON that answers.

In the patterns `{kind}` is one entity, `{kind+}` one to four in a row, `{a:kind}` one with its article, `{s:kind}`
a plural; `[x|y]` is a choice, which may be empty. Kinds that nobody asks for are distraction.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from training.cria import words
from training.cria.names import Names
from training.cria.texts import listed, sections

_TEXTS: Final = sections("entities")
_SUBJECTS: Final = _TEXTS["subjects"]
_PREDICATES: Final = _TEXTS["predicates"]
_FRONTS: Final = _TEXTS["fronts"]
_BACKS: Final = _TEXTS["backs"]
_CONNECTORS: Final = _TEXTS["connectors"]
_SENTENCES: Final = _TEXTS["sentences"]

_LOOSE: Final = _TEXTS["loose"]
_FILLERS: Final = listed(_TEXTS["fillers"])
_STARTS: Final = listed(_TEXTS["starts"])
_ENDS: Final = (".", ".", ".", "!", "", "?")
_ANY: Final = tuple(
    [
        "{food}",
        "{food}",
        "{drink}",
        "{city}",
        "{country}",
        "{a:animal}",
        "{s:animal}",
        "{colour}",
        "{sport}",
        "{instrument}",
        "{language}",
        "{a:job}",
        "{fruit}",
        "{vegetable}",
        "{person}",
        "{company}",
        "{year}",
        "{product}",
        "{a:vehicle}",
        "{a:clothes}",
    ]
)
"""Slots that may stand where a pattern leaves the kind open."""
_JOINS: Final = re.compile(r"\{(?:food|drink|city|country|sport|language|colour|person)\+?\}(?!')")
_NEEDS_CONTEXT: Final = re.compile(
    r"\{(?:book|film|song|band|river|mountain|team|ship|pet|subject|email|phone|time|age)\}"
)
"""Kinds that only the words around them give away."""
_LOOSE_SHARE: Final = 0.03
"""Share of sentences from patterns in which words matter more than their place."""
_NOISE_SHARE: Final = 0.08
_MIXED_SHARE: Final = 0.04
_TEMPLATE_SHARE: Final = 14
"""One sentence pattern in this many is reserved for evaluation."""

_SLOT: Final = re.compile(r"\{(?:(a|s):)?([a-z]+)(\+?)\}")
_CHOICE: Final = re.compile(r"\[([^\[\]]*)\]")

ASKED: Final[Mapping[str, tuple[tuple[str, ...], frozenset[str]]]] = {
    "person": (
        ("person", "person", "person", "people", "name", "names", "persons", "person name"),
        frozenset({"person"}),
    ),
    "year": (("year", "year", "years"), frozenset({"year"})),
    "food": (("food", "food", "foods", "dish"), frozenset({"food", "fruit", "vegetable"})),
    "city": (("city", "city", "cities", "town"), frozenset({"city"})),
    "country": (("country", "country", "countries"), frozenset({"country"})),
    "place": (("place", "location", "places", "locations"), frozenset({"city", "country", "river", "mountain"})),
    "company": (
        ("company", "company", "companies", "organization", "organisation", "firm", "employer"),
        frozenset({"company"}),
    ),
    "product": (("product", "product", "products"), frozenset({"product"})),
    "animal": (("animal", "animal", "animals"), frozenset({"animal"})),
    "colour": (("colour", "color", "colours", "colors"), frozenset({"colour"})),
    "date": (("date", "date", "dates"), frozenset({"date"})),
    "number": (("number", "number", "numbers"), frozenset({"number", "age"})),
    "sport": (("sport", "sport", "sports"), frozenset({"sport"})),
    "instrument": (("instrument", "instrument", "instruments", "musical instrument"), frozenset({"instrument"})),
    "drink": (("drink", "drink", "drinks", "beverage"), frozenset({"drink"})),
    "language": (("language", "language", "languages"), frozenset({"language"})),
    "job": (("job", "job", "profession", "occupation", "jobs"), frozenset({"job"})),
    "fruit": (("fruit", "fruits"), frozenset({"fruit"})),
    "vegetable": (("vegetable", "vegetables"), frozenset({"vegetable"})),
    "vehicle": (("vehicle", "vehicles"), frozenset({"vehicle"})),
    "clothes": (("clothes", "clothing"), frozenset({"clothes"})),
    "weekday": (("weekday", "day"), frozenset({"weekday"})),
    "month": (("month", "months"), frozenset({"month"})),
    "time": (("time", "times"), frozenset({"time"})),
    "price": (("price", "money", "amount", "prices"), frozenset({"price"})),
    "age": (("age", "ages"), frozenset({"age"})),
    "email": (("email", "email address", "e-mail"), frozenset({"email"})),
    "phone": (("phone", "phone number"), frozenset({"phone"})),
    "subject": (("school subject", "subject"), frozenset({"subject"})),
    "furniture": (("furniture",), frozenset({"furniture"})),
    "tool": (("tool", "tools"), frozenset({"tool"})),
    "flower": (("flower", "flowers"), frozenset({"flower"})),
    "planet": (("planet", "planets"), frozenset({"planet"})),
    "body": (("body part",), frozenset({"body"})),
    "book": (("book", "book title"), frozenset({"book"})),
    "film": (("film", "movie"), frozenset({"film"})),
    "song": (("song",), frozenset({"song"})),
    "band": (("band",), frozenset({"band"})),
    "team": (("team", "club"), frozenset({"team"})),
    "river": (("river", "rivers"), frozenset({"river"})),
    "material": (("material", "materials"), frozenset({"material"})),
    "emotion": (("emotion", "feeling"), frozenset({"feeling"})),
    "weather": (("weather",), frozenset({"weather"})),
}
"""Category: the words users ask for it with, and the kinds of entity that answer it."""

_COMMON: Final = (
    "person",
    "year",
    "food",
    "city",
    "country",
    "company",
    "animal",
    "colour",
    "date",
    "number",
    "sport",
    "instrument",
    "drink",
    "language",
    "product",
    "job",
)

_CLASHES: Final = (
    (frozenset({"number"}), frozenset({"price", "time", "date", "phone", "email", "product"})),
    (frozenset({"month"}), frozenset({"date"})),
    (frozenset({"place"}), frozenset({"city", "country"})),
)
"""Asked categories that are dropped when the text holds these kinds, because people disagree about the answer."""


@dataclass(frozen=True)
class Entity:
    """One entity as it stands in the text."""

    kind: str
    text: str


@dataclass(frozen=True)
class EntitySample:
    """A text, the categories as the user writes them and the expected answer."""

    categories: tuple[str, ...]
    text: str
    answer: Mapping[str, Sequence[str]]

    def answer_json(self) -> str:
        """Return the answer as the model should write it, on one line."""
        return json.dumps(self.answer, ensure_ascii=False)


class EntityWriter:
    """Writes texts full of entities and remembers what it put where.

    With `held_out` all names are ones that training never shows; with `reserved` the sentence patterns are too.
    """

    def __init__(self, rng: random.Random, *, held_out: bool, reserved: bool = False) -> None:
        self._rng = rng
        self._names = Names(rng, held_out=held_out)
        self._held_out = held_out
        self._reserved = reserved
        self._makers = self._build_makers()

    def sample(self) -> EntitySample:
        """Return one task: a text of one to four sentences and one to five categories."""
        text, entities = self.text()
        text, entities = self._recased(text, entities)
        keys = self._ask({entity.kind for entity in entities})
        shown = [self._shown(key) for key in keys]
        answer = {name: _found(key, entities) for key, name in zip(keys, shown, strict=True)}
        return EntitySample(tuple(shown), text, answer)

    def text(self) -> tuple[str, list[Entity]]:
        """Return a text and its entities in order of appearance."""
        count = self._rng.choice([1, 1, 1, 1, 1, 1, 2, 2, 2, 2])
        parts: list[str] = []
        entities: list[Entity] = []
        for _ in range(count):
            sentence, found = self.sentence()
            parts.append(sentence)
            entities += found
        return self._rng.choice([" ", " ", " ", " ", " ", "\n"]).join(parts), entities

    def sentence(self) -> tuple[str, list[Entity]]:
        """Return one sentence with its entities."""
        roll = self._rng.random()
        if roll < _LOOSE_SHARE and not self._held_out:
            pattern = self._rng.choice(_LOOSE) + self._rng.choice(_ENDS)
        else:
            pattern = self._choose(_SENTENCES) if roll < _LOOSE_SHARE + 0.25 else self._clauses()
        pattern = self._resolve(pattern)
        if not self._held_out and self._rng.random() < _NOISE_SHARE and not _NEEDS_CONTEXT.search(pattern):
            pattern = self._noisy(pattern)
        return self._fill(self._typed(pattern))

    def _noisy(self, pattern: str) -> str:
        """Return the pattern with a few words put in or exchanged, so that no position gives an entity away."""
        found: list[str] = []
        pieces = pattern.split(" ")
        for piece, after in zip(pieces, [*pieces[1:], ""], strict=True):
            plain = piece.isalpha() and len(piece) > 3 and not after.startswith("{")
            found.append(self._rng.choice(_FILLERS) if plain and self._rng.random() < 0.12 else piece)
            if plain and self._rng.random() < 0.08:
                found.append(self._rng.choice(_FILLERS))
        if self._rng.random() < 0.15:
            found = [self._rng.choice(_STARTS), *found]
        return " ".join(found)

    def _typed(self, pattern: str) -> str:
        """Replaces words that mean any filler or any kind, and lets entities of other kinds join a few."""
        kinds = iter(lambda: self._rng.choice(_ANY), "")
        pattern = re.sub(r"\{filler\}", lambda _: self._rng.choice(_FILLERS), pattern)
        pattern = re.sub(r"\{start\}", lambda _: self._rng.choice(_STARTS), pattern)
        pattern = re.sub(r"\{any\}", lambda _: next(kinds), pattern)
        if self._held_out or self._rng.random() > _MIXED_SHARE:
            return pattern
        joint = self._rng.choice([" and ", " and ", " or ", ", ", " but not "])
        return re.sub(_JOINS, lambda slot: f"{slot.group()}{joint}{next(kinds)}", pattern, count=1)

    def _clauses(self) -> str:
        clause = self._clause()
        if self._rng.random() < 0.2:
            clause = f"{self._choose(_FRONTS)}{self._rng.choice([', ', ', ', ' '])}{clause}"
        if self._rng.random() < 0.15:
            joint = self._rng.choice(_CONNECTORS)
            clause = f"{clause}{joint if joint[0] in ',;' else ' ' + joint} {self._clause()}"
        elif self._rng.random() < 0.15:
            clause = f"{clause} and {self._choose(_PREDICATES)}"
        return clause + self._rng.choice([".", ".", ".", ".", ".", ".", ".", "!", "", "..."])

    def _clause(self) -> str:
        back = f" {self._choose(_BACKS)}" if self._rng.random() < 0.28 else ""
        return f"{self._choose(_SUBJECTS)} {self._choose(_PREDICATES)}{back}"

    def _choose(self, patterns: Sequence[str]) -> str:
        if len(patterns) < 3 * _TEMPLATE_SHARE:
            return self._rng.choice(patterns)
        while True:
            index = self._rng.randrange(len(patterns))
            if (index % _TEMPLATE_SHARE == 5) == self._reserved:
                return patterns[index]

    def _resolve(self, pattern: str) -> str:
        while found := _CHOICE.search(pattern):
            choice = self._rng.choice(found.group(1).split("|"))
            pattern = pattern[: found.start()] + choice + pattern[found.end() :]
        pattern = re.sub(r" {2,}", " ", pattern)
        return re.sub(r" ([.,!?;])", r"\1", pattern).strip()

    def _fill(self, pattern: str) -> tuple[str, list[Entity]]:
        pieces: list[str] = []
        entities: list[Entity] = []
        end = 0
        for slot in _SLOT.finditer(pattern):
            pieces.append(pattern[end : slot.start()])
            text, found = self._slot(slot)
            pieces.append(text)
            entities += found
            end = slot.end()
        pieces.append(pattern[end:])
        return self._start_upper("".join(pieces), entities), entities

    def _start_upper(self, text: str, entities: list[Entity]) -> str:
        if not text[:1].islower() or (entities and text.startswith(entities[0].text) and entities[0].kind == "email"):
            return text
        if entities and text.startswith(entities[0].text):
            first = entities[0].text
            entities[0] = Entity(entities[0].kind, first[0].upper() + first[1:])
        return text[0].upper() + text[1:]

    def _slot(self, slot: re.Match[str]) -> tuple[str, list[Entity]]:
        form, kind, many = slot.groups()
        if many and self._rng.random() < 0.65:
            return self._row(kind)
        text = self._makers[kind]()
        if form == "s":
            text = plural(text)
        article = f"{article_of(text)} " if form == "a" else ""
        return article + text, [Entity(kind, text)]

    def _row(self, kind: str) -> tuple[str, list[Entity]]:
        items = [self._makers[kind]() for _ in range(self._rng.choice([2, 2, 2, 3, 3, 4]))]
        last = self._rng.choice([" and ", " and ", " and ", " or ", ", and ", " & "])
        head = ", ".join(items[:-1])
        return head + last + items[-1], [Entity(kind, item) for item in items]

    def _recased(self, text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
        roll = self._rng.random()
        change: Callable[[str], str] | None = str.lower if roll < 0.05 else str.upper if roll < 0.057 else None
        if change is None:
            return text, entities
        return change(text), [Entity(entity.kind, change(entity.text)) for entity in entities]

    def _ask(self, present: set[str]) -> list[str]:
        if self._rng.random() < 0.2:
            return ["person", "year", "food"]
        count = self._rng.choice([1, 2, 2, 2, 3, 3, 3, 3, 4, 5])
        fitting = [
            key for key, (_, kinds) in ASKED.items() if kinds & present for _ in range(20 if key in _COMMON else 1)
        ]
        keys: list[str] = []
        while len(keys) < count:
            pool = (
                fitting
                if fitting and self._rng.random() < 0.75
                else _COMMON
                if self._rng.random() < 0.93
                else tuple(ASKED)
            )
            key = self._rng.choice(pool)
            if key not in keys and not _clashes(key, present, keys):
                keys.append(key)
            elif self._rng.random() < 0.1:
                count -= 1
        return keys or ["person"]

    def _shown(self, key: str) -> str:
        name = key if self._rng.random() < 0.75 else self._rng.choice(ASKED[key][0])
        if self._rng.random() < 0.06:
            return self._rng.choice([name.upper(), name.capitalize()])
        return name

    def _build_makers(self) -> Mapping[str, Callable[[], str]]:
        rng, names = self._rng, self._names

        def of(items: Sequence[str]) -> Callable[[], str]:
            return lambda: rng.choice(items)

        return {
            "person": names.person,
            "city": names.city,
            "country": names.country,
            "company": names.company,
            "product": names.product,
            "pet": names.invented,
            "river": names.invented,
            "ship": lambda: f"{rng.choice(['', '', 'Queen ', 'Star '])}{names.invented()}",
            "mountain": lambda: f"{rng.choice(['', '', 'Mount '])}{names.invented()}",
            "team": lambda: (
                f"{rng.choice(['', 'FC ', 'Real '])}{names.city()}{rng.choice(['', ' United', ' Rovers', ' Tigers'])}"
            ),
            "book": names.title,
            "film": names.title,
            "song": names.title,
            "band": names.title,
            "food": of(words.FOODS),
            "fruit": of(words.FRUITS[:-7]),
            "vegetable": of(words.VEGETABLES),
            "drink": of(words.DRINKS),
            "animal": of(words.ANIMALS),
            "colour": of(words.COLOURS),
            "language": of(words.LANGUAGES),
            "sport": of(words.SPORTS),
            "instrument": of(words.INSTRUMENTS),
            "job": of(words.JOBS),
            "vehicle": of(words.VEHICLES),
            "clothes": of(words.CLOTHES),
            "weekday": of(words.WEEKDAYS),
            "month": of(words.MONTHS),
            "subject": of(words.SUBJECTS),
            "furniture": of(words.FURNITURE),
            "tool": of(words.TOOLS),
            "flower": of(words.FLOWERS),
            "tree": of(words.TREES),
            "planet": of(words.PLANETS),
            "body": of(words.BODY),
            "material": of(words.MATERIALS),
            "feeling": of(words.FEELINGS),
            "weather": of(words.WEATHER),
            "family": of(words.FAMILY),
            "noun": of(words.NEUTRAL_NOUNS),
            "year": self._year,
            "date": self._date,
            "number": self._number,
            "age": lambda: str(rng.randint(2, 99)),
            "time": self._time,
            "price": self._price,
            "email": self._email,
            "phone": self._phone,
        }

    def _year(self) -> str:
        return str(
            self._rng.choice(
                [self._rng.randint(1900, 2035), self._rng.randint(1980, 2030), self._rng.randint(1000, 2100)]
            )
        )

    def _date(self) -> str:
        rng = self._rng
        day, month, year = rng.randint(1, 28), rng.choice(words.MONTHS), rng.randint(1900, 2035)
        number = words.MONTHS.index(month) + 1
        return rng.choice(
            [
                f"{day} {month} {year}",
                f"{day} {month} {year}",
                f"{month} {day}, {year}",
                f"{day} {month}",
                f"{month} {day}",
                f"{day}{ordinal(day)} {month}",
                f"{month} {day}{ordinal(day)}",
                f"the {day}{ordinal(day)} of {month}",
                f"{year}-{number:02d}-{day:02d}",
                f"{day:02d}/{number:02d}/{year}",
                f"{day}.{number}.{year}",
            ]
        ).removeprefix("the ")

    def _number(self) -> str:
        rng = self._rng
        small = rng.choice(
            [
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
                "fifteen",
                "twenty",
                "thirty",
                "fifty",
            ]
        )
        return rng.choice([small, small, str(rng.randint(2, 99)), str(rng.randint(2, 99)), str(rng.randint(100, 9999))])

    def _time(self) -> str:
        rng = self._rng
        hour = rng.randint(1, 12)
        return rng.choice(
            [
                f"{hour} {rng.choice(['am', 'pm'])}",
                f"{rng.randint(0, 23)}:{rng.randrange(0, 60, 5):02d}",
                f"{hour} o'clock",
                f"{hour}:{rng.choice(['15', '30', '45'])} {rng.choice(['am', 'pm'])}",
            ]
        )

    def _price(self) -> str:
        rng = self._rng
        amount = rng.choice(
            [
                str(rng.randint(2, 999)),
                f"{rng.randint(1, 99)}.{rng.choice(['50', '99', '95', '20'])}",
                f"{rng.randint(1, 99)},000",
            ]
        )
        return rng.choice(
            [
                f"${amount}",
                f"€{amount}",
                f"£{amount}",
                f"{amount} {rng.choice(['euros', 'dollars', 'pounds', 'francs', 'crowns', 'yen', 'EUR'])}",
            ]
        )

    def _email(self) -> str:
        rng = self._rng
        user, host = self._names.invented().lower(), self._names.invented().lower()
        more = rng.choice(["", "", "." + self._names.invented().lower(), str(rng.randint(1, 99))])
        return f"{user}{more}@{host}.{rng.choice(['com', 'org', 'net', 'de', 'io'])}"

    def _phone(self) -> str:
        rng = self._rng
        return rng.choice(
            [
                f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(1000, 9999)}",
                f"0{rng.randint(100, 999)}-{rng.randint(1000, 9999)}",
                f"{rng.randint(100, 999)}-{rng.randint(1000, 9999)}",
            ]
        )


def _found(key: str, entities: Sequence[Entity]) -> list[str]:
    """Return the answer for one asked category, each entity once; a full date also names its year."""
    kinds = ASKED[key][1]
    found: list[str] = []
    for entity in entities:
        if entity.kind in kinds and entity.text not in found:
            found.append(entity.text)
        if (
            key == "year"
            and entity.kind == "date"
            and (year := re.search(r"\d{4}", entity.text))
            and year.group() not in found
        ):
            found.append(year.group())
    return found


def _clashes(key: str, present: set[str], keys: Sequence[str]) -> bool:
    seen = present | set(keys)
    return (
        any(key in asked and seen & kinds for asked, kinds in _CLASHES[:2])
        or (key == "place" and bool({"city", "country"} & set(keys)))
        or (key in {"city", "country"} and "place" in keys)
    )


_IRREGULAR: Final = {
    "mouse": "mice",
    "goose": "geese",
    "sheep": "sheep",
    "deer": "deer",
    "moose": "moose",
    "wolf": "wolves",
    "calf": "calves",
    "fly": "flies",
    "salmon": "salmon",
    "puppy": "puppies",
    "pony": "ponies",
    "canary": "canaries",
    "bison": "bison",
    "elk": "elk",
    "butterfly": "butterflies",
    "dragonfly": "dragonflies",
    "squid": "squid",
}


def plural(noun: str) -> str:
    """Return the plural of an English animal word."""
    head, _, last = noun.rpartition(" ")
    if last in _IRREGULAR:
        last = _IRREGULAR[last]
    elif last.endswith(("s", "x", "ch", "sh")):
        last += "es"
    else:
        last += "s"
    return f"{head} {last}".strip()


def article_of(noun: str) -> str:
    """Return the indefinite article that goes with a word."""
    return "an" if noun[0].lower() in "aeiou" and not noun.lower().startswith(("uni", "uku", "eu", "one")) else "a"


def ordinal(day: int) -> str:
    """Return the ending of an ordinal number: st, nd, rd or th."""
    return "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
