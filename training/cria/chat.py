"""Small talk over one to four turns, with things the user said a turn ago."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from training.cria import words
from training.cria.facts import FactWriter
from training.cria.names import Names
from training.cria.patterns import resolve
from training.cria.texts import sections

_TEXTS: Final = sections("chat")
WHO: Final = "I am cria, a tiny demo model that runs inside Herding."

SYSTEMS: Final = _TEXTS["systems"]

_TALK: Final = _TEXTS["talk"]


@dataclass(frozen=True)
class Memory:
    """A thing the user can tell: how it is said, answered, asked for and recalled; `{v}` is the thing."""

    value: Callable[[], str]
    said: tuple[str, ...]
    answered: tuple[str, ...]
    asked: tuple[str, ...]
    recalled: str
    missing: str


class ChatWriter:
    """Writes chats as lists of (user, assistant) turns; only what cria can honestly say."""

    def __init__(self, rng: random.Random, *, held_out: bool) -> None:
        self._rng = rng
        self._names = Names(rng, held_out=held_out)
        self._facts = FactWriter(rng, held_out=held_out)
        self._memories = self._build_memories()

    def sample(self) -> list[tuple[str, str]]:
        """Return a chat of one to four turns."""
        roll = self._rng.random()
        if roll < 0.42:
            return [self._turn() for _ in range(self._rng.choice([1, 1, 1, 2, 3]))]
        if roll < 0.92:
            return self.recall()
        return self._missing()

    def recall(self) -> list[tuple[str, str]]:
        """Return a chat in which the user asks for something told before."""
        chosen = self._rng.sample(self._memories, self._rng.choice([1, 1, 2]))
        values = [memory.value() for memory in chosen]
        turns = [self._tell(memory, value) for memory, value in zip(chosen, values, strict=True)]
        turns += [self._turn() for _ in range(self._rng.choice([0, 0, 0, 1, 1, 2]))]
        order = self._rng.sample(range(len(chosen)), len(chosen))
        turns += [(self._rng.choice(chosen[i].asked), chosen[i].recalled.format(v=values[i])) for i in order]
        return turns

    def _missing(self) -> list[tuple[str, str]]:
        asked, told = self._rng.sample(self._memories, 2)
        turns = [self._tell(told, told.value())] if self._rng.random() < 0.5 else []
        return [*turns, (self._rng.choice(asked.asked), asked.missing)]

    def _tell(self, memory: Memory, value: str) -> tuple[str, str]:
        lead = self._rng.choice(["", "", "", "", "Hello! ", "Hi, ", "Hi! ", "Hey, ", "By the way, "])
        said = self._rng.choice(memory.said).format(v=value)
        if lead.endswith(", ") and not said.startswith("I"):
            said = said[0].lower() + said[1:]
        return lead + said, self._rng.choice(memory.answered[:1]).format(v=value)

    def _turn(self) -> tuple[str, str]:
        if self._rng.random() < 0.25:
            return self._facts.sample()
        values: dict[str, str] = {}

        def fill(name: str) -> str:
            base = name.removeprefix("up")
            values.setdefault(base, self._slot(base))
            return values[base][:1].upper() + values[base][1:] if base != name else values[base]

        user, _, answer = resolve(self._rng.choice(_TALK).replace("{a:", "{an_"), self._rng, fill).partition(" => ")
        if self._rng.random() < 0.1:
            user = user.lower() if "{" not in user and not values.keys() - {"end", "thanks"} else user
        return user, answer

    def _slot(self, name: str) -> str:
        rng = self._rng
        if name.startswith("an_"):
            word = rng.choice({"job": words.JOBS, "animal": words.ANIMALS}[name[3:]])
            return ("an " if word[0] in "aeiou" else "a ") + word
        made: dict[str, Callable[[], str]] = {
            "end": lambda: rng.choice(["", ".", "!", "!"]),
            "thanks": lambda: rng.choice(["", ", thanks", ", thank you"]),
            "person": self._names.person,
            "city": self._names.city,
            "thing": lambda: rng.choice(
                rng.choice(
                    [
                        words.FOODS,
                        words.SPORTS,
                        words.DRINKS,
                        ("music", "reading", "books", "travelling", "rain", "winter", "summer"),
                    ]
                )
            ),
            "words": lambda: " ".join(
                rng.choice(
                    [
                        self._names.invented(),
                        self._names.invented().lower(),
                        rng.choice(words.NEUTRAL_NOUNS),
                        rng.choice(words.COLOURS),
                    ]
                )
                for _ in range(rng.randint(1, 6))
            ),
        }
        return made[name]()

    def _build_memories(self) -> Sequence[Memory]:
        rng, names = self._rng, self._names

        def favourite(kind: str, values: Sequence[str]) -> list[Memory]:
            return [
                Memory(
                    lambda: rng.choice(values),
                    (
                        f"My favourite {spelt} is {{v}}.",
                        f"my favorite {spelt} is {{v}}",
                        f"I think my favourite {spelt} is {{v}}.",
                        f"My favorite {spelt} is {{v}}!",
                    ),
                    ("Good choice! I will remember {v}.",),
                    (
                        f"What is my favourite {spelt}?",
                        f"What's my favorite {spelt}?",
                        f"what is my favorite {spelt}?",
                        f"Do you remember my favourite {spelt}?",
                        f"Which {spelt} do I like best?",
                        f"Tell me my favourite {spelt}.",
                    ),
                    f"Your favourite {spelt} is {{v}}.",
                    f"You have not told me your favourite {spelt} yet.",
                )
                for spelt in kind.split("|")
            ]

        memories = [
            Memory(
                names.person,
                (
                    "My name is {v}.",
                    "I am {v}.",
                    "I'm {v}.",
                    "my name is {v}",
                    "You can call me {v}.",
                    "Call me {v}.",
                    "This is {v}.",
                    "My name is {v}!",
                    "The name is {v}.",
                    "I am called {v}.",
                    "My name's {v}.",
                ),
                ("Nice to meet you, {v}!",),
                (
                    "What is my name?",
                    "What's my name?",
                    "Do you remember my name?",
                    "Who am I?",
                    "what is my name?",
                    "Do you know my name?",
                    "Can you tell me my name?",
                    "Say my name.",
                    "What did I say my name was?",
                    "And what is my name?",
                    "What am I called?",
                ),
                "Your name is {v}.",
                "You have not told me your name yet.",
            )
        ] * 5
        memories += [
            Memory(
                names.city,
                ("I live in {v}.", "I'm from {v}.", "My home is in {v}.", "I come from {v}.", "My home town is {v}."),
                ("{v} sounds like a nice place!",),
                (
                    "Where do I live?",
                    "Where am I from?",
                    "Do you remember where I live?",
                    "Which city do I live in?",
                    "What is my home town?",
                    "Where is my home?",
                ),
                "You live in {v}.",
                "You have not told me where you live yet.",
            )
        ] * 2
        for kind, values in {
            "colour|color": words.COLOURS,
            "food|dish": words.FOODS,
            "animal": words.ANIMALS,
            "sport": words.SPORTS,
            "drink": words.DRINKS,
            "fruit": words.FRUITS[:-7],
            "city": words.CITIES,
            "language": words.LANGUAGES,
            "instrument": words.INSTRUMENTS,
        }.items():
            memories += favourite(kind, values)
        pets = (
            ("dog", "dog's"),
            ("cat", "cat's"),
            ("horse", "horse's"),
            ("sister", "sister's"),
            ("brother", "brother's"),
            ("friend", "friend's"),
            ("mother", "mother's"),
            ("boss", "boss's"),
            ("teacher", "teacher's"),
            ("son", "son's"),
            ("daughter", "daughter's"),
            ("wife", "wife's"),
            ("husband", "husband's"),
        )
        memories += [
            Memory(
                names.first_name,
                (
                    f"My {who} is called {{v}}.",
                    f"My {whose} name is {{v}}.",
                    f"I have a {who} called {{v}}.",
                    f"I have a {who} named {{v}}.",
                ),
                ("{v} is a lovely name!",),
                (
                    f"What is my {whose} name?",
                    f"What is my {who} called?",
                    f"Do you remember the name of my {who}?",
                    f"What's the name of my {who}?",
                ),
                f"Your {who} is called {{v}}.",
                f"You have not told me the name of your {who} yet.",
            )
            for who, whose in pets
        ]
        memories += [
            Memory(
                lambda: str(rng.randint(5, 99)),
                ("I am {v} years old.", "I'm {v}.", "I am {v}.", "My age is {v}."),
                ("That is a fine age!",),
                ("How old am I?", "What is my age?", "Do you remember my age?"),
                "You are {v} years old.",
                "You have not told me your age yet.",
            ),
            Memory(
                lambda: str(rng.randint(0, 9999)),
                (
                    "My lucky number is {v}.",
                    "Remember the number {v}.",
                    "Please remember {v}.",
                    "The secret number is {v}.",
                ),
                ("I will remember {v}.",),
                ("What is the number?", "Which number did I tell you?", "What was the number?", "What is my number?"),
                "The number is {v}.",
                "You have not told me a number yet.",
            ),
            Memory(
                lambda: rng.choice([names.invented(), rng.choice(words.NEUTRAL_NOUNS)]),
                ("The password is {v}.", "The secret word is {v}.", "Remember the word {v}.", "The code word is {v}."),
                ("I will remember {v}.",),
                (
                    "What is the password?",
                    "What is the secret word?",
                    "Which word did I tell you?",
                    "What was the word?",
                    "What is the code word?",
                ),
                "The word is {v}.",
                "You have not told me a word yet.",
            ),
            Memory(
                lambda: rng.choice(words.JOBS),
                ("I work as a {v}.", "My job is {v}.", "I am a {v}.", "I'm a {v} by profession."),
                ("That sounds like interesting work!",),
                ("What is my job?", "What do I do for a living?", "What do I work as?"),
                "You work as a {v}.",
                "You have not told me your job yet.",
            ),
        ]
        return memories
