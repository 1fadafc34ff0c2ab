"""Makes cria's training and evaluation samples out of the shipped prompt files.

Samples are rendered through `prompts/*.yaml`, so that training and use share one format; the wording around
the task varies, because people edit prompts. Everything follows from a seed. Held-out samples use names that
training never shows, and, where asked for, sentence patterns that it never shows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import yaml

from training.cria import chat, facts, jay, small_tasks
from training.cria.entities import EntityWriter
from training.cria.sentiment import SentimentWriter
from training.cria.texts import sections

PROMPTS: Final = Path(__file__).resolve().parents[2] / "prompts"

WEIGHTS: Final[Mapping[str, float]] = {
    "entity_recognition": 72,
    "sentiment": 8,
    "jay_trainer": 6,
    "scattergories": 3,
    "keep_it_short": 5,
    "rewrite_politely": 3,
    "plain_chat": 4,
    "llama2_chat": 1.5,
    "word_to_number": 2,
    "greeting": 1,
}
"""Share of each task in training."""

SHIPPED_SHARE: Final = 0.55
"""Share of training samples that use the shipped system message word for word."""


@dataclass(frozen=True)
class Message:
    """One chat message; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Sample:
    """One task with its answer.

    `messages` ends with the answer; for a raw completion `raw` holds the text before it and `messages` the
    answer alone. `expected` is what a checker needs: the parsed answer or the values of the task. Only
    messages from `learn_from` on are learnt.
    """

    task: str
    messages: tuple[Message, ...]
    learn_from: int
    expected: Any = None
    raw: str = ""

    @property
    def answer(self) -> str:
        """Return the text the model should write."""
        return self.messages[-1].content


_SYSTEMS: Final = sections("systems")
"""Other ways to put a task than the shipped system message."""


def render(template: str, values: Mapping[str, str]) -> str:
    """Replaces `{{name}}` in one pass; inserted text is not scanned again."""
    return re.sub(r"\{\{\s*(\w+)\s*\}\}", lambda found: values[found.group(1)], template)


class PromptFiles:
    """The shipped prompt files, as far as the samples need them."""

    def __init__(self, folder: Path = PROMPTS) -> None:
        self._files = {
            path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.yaml"))
        }

    def messages(self, key: str, values: Mapping[str, str], variant: str | None = None) -> list[Message]:
        """Return the rendered messages of a prompt or of one of its variants."""
        source = self._files[key]
        if variant is not None:
            source = next(item for item in source["variants"] if item["name"] == variant)
        filled = {**self._defaults(key), **values}
        return [Message(item["role"], render(item["content"], filled)) for item in source["messages"]]

    def raw(self, key: str, values: Mapping[str, str]) -> str:
        """Return the rendered text of a raw prompt."""
        return render(self._files[key]["prompt"], {**self._defaults(key), **values})

    def parameters(self, key: str) -> Mapping[str, Any]:
        """Return the shipped sampling parameters of a prompt."""
        found: Mapping[str, Any] = self._files[key]["parameters"]
        return found

    def _defaults(self, key: str) -> dict[str, str]:
        return {name: str(spec.get("default", "")) for name, spec in self._files[key]["variables"].items()}


class Generator:
    """An endless, seeded stream of samples.

    Without flags they are for training. `held_out`: names, and questions, that training never shows; `reserved`:
    sentence patterns that it never shows.
    """

    def __init__(
        self, seed: int, *, held_out: bool = False, reserved: bool = False, prompts: PromptFiles | None = None
    ) -> None:
        self._rng = random.Random(seed)
        self._held_out = held_out
        self._prompts = prompts or PromptFiles()
        self._entities = EntityWriter(self._rng, held_out=held_out, reserved=reserved)
        self._sentiment = SentimentWriter(self._rng, held_out=held_out, reserved=reserved)
        self._facts = facts.FactWriter(self._rng, held_out=held_out)
        self._jay = jay.JayWriter(self._rng)
        self._polite = small_tasks.PoliteWriter(self._rng, held_out=held_out)
        self._chat = chat.ChatWriter(self._rng, held_out=held_out)
        self._makers: Mapping[str, Callable[[], Sample]] = {
            "entity_recognition": self._entity,
            "sentiment": self._tone,
            "jay_trainer": self._comment,
            "scattergories": self._scatter,
            "keep_it_short": self._fact,
            "rewrite_politely": self._politeness,
            "plain_chat": self._talk,
            "llama2_chat": self._llama2,
            "word_to_number": self._number,
            "greeting": self._greet,
        }

    def __iter__(self) -> Iterator[Sample]:
        tasks, weights = list(WEIGHTS), list(WEIGHTS.values())
        while True:
            yield self.sample(self._rng.choices(tasks, weights)[0])

    def sample(self, task: str) -> Sample:
        """Return the next sample of one task."""
        return self._makers[task]()

    def _entity(self) -> Sample:
        found = self._entities.sample()
        asked = _written(found.categories, self._rng) if self._varies() else f"[{', '.join(found.categories)}]"
        messages = self._prompts.messages("entity_recognition", {"categories": asked, "text": found.text})
        if self._varies():
            layout = self._rng.choice(
                [
                    "{c}\n{t}",
                    "{c}\n{t}",
                    "{c}\n\n{t}",
                    "Categories: {c}\nText: {t}",
                    "{c} {t}",
                    "{c}: {t}",
                    "categories: {c}\ntext: {t}",
                    "{t}\n{c}",
                ]
            )
            messages[-1] = Message("user", layout.replace("{c}", asked).replace("{t}", found.text))
        expected = {key: list(values) for key, values in found.answer.items()}
        return self._sample("entity_recognition", messages, found.answer_json(), expected, bare=True)

    def _tone(self) -> Sample:
        text, tone = self._sentiment.sample()
        messages = self._prompts.messages("sentiment", {"text": text})
        if self._varies() and self._rng.random() < 0.4:
            messages[-1] = Message(
                "user", self._rng.choice(["Text: {}", "Review: {}", '"{}"', "Message: {}"]).format(text)
            )
        return self._sample("sentiment", messages, tone, tone)

    def _scatter(self) -> Sample:
        category, letter, answer = small_tasks.scattergories(self._rng)
        messages = self._prompts.messages("scattergories", {"category": category, "letter": letter})
        if self._varies() and self._rng.random() < 0.5:
            layout = self._rng.choice(["{c}, {l}", "{c} with {l}", "{c}: {l}", "category: {c}, letter: {l}"])
            messages[-1] = Message("user", layout.replace("{c}", category).replace("{l}", letter))
        return self._sample("scattergories", messages, answer, (category, letter))

    def _fact(self) -> Sample:
        question, answer = self._facts.sample()
        return self._sample(
            "keep_it_short", self._prompts.messages("keep_it_short", {"question": question}), answer, answer
        )

    def _politeness(self) -> Sample:
        blunt, polite = self._polite.sample()
        return self._sample(
            "rewrite_politely", self._prompts.messages("rewrite_politely", {"message": blunt}), polite, polite
        )

    def _number(self) -> Sample:
        text, digits = small_tasks.number_pair(self._rng)
        return self._sample("word_to_number", self._prompts.messages("word_to_number", {"words": text}), digits, digits)

    def _greet(self) -> Sample:
        name, language, text = small_tasks.greeting(self._rng, held_out=self._held_out)
        return self._sample(
            "greeting", self._prompts.messages("greeting", {"name": name, "language": language}), text, text
        )

    def _comment(self) -> Sample:
        error, attempts = self._jay.values()
        band = jay.band_of(float(error))
        values = {"error": error, "attempts": ", ".join(attempts) or "none"}
        messages = self._prompts.messages("jay_trainer", values, variant=band)
        if self._varies():
            system = Message("system", self._rng.choice(jay.SYSTEMS[band]))
            messages = [self._rng.choice([system, messages[0]]), *self._other_examples(band), messages[-1]]
        return self._finish("jay_trainer", messages, self._jay.comment(error, attempts), (error, attempts))

    def _other_examples(self, band: str) -> list[Message]:
        examples: list[Message] = []
        for _ in range(self._rng.choice([0, 0, 1, 2])):
            error, attempts = self._jay.values(band)
            asked = f"Error: {error}\nAttempts: {', '.join(attempts) or 'none'}"
            examples += [Message("user", asked), Message("assistant", self._jay.comment(error, attempts))]
        return examples

    def _talk(self) -> Sample:
        turns = self._chat.sample()
        messages = self._prompts.messages("plain_chat", {"message": turns[0][0]})
        if self._varies():
            messages = (
                [Message("system", self._rng.choice(chat.SYSTEMS)), messages[-1]]
                if self._rng.random() < 0.6
                else messages[-1:]
            )
        start = len(messages)
        messages.append(Message("assistant", turns[0][1]))
        for user, answer in turns[1:]:
            messages += [Message("user", user), Message("assistant", answer)]
        return Sample("plain_chat", tuple(messages), start, turns[-1][1])

    def _llama2(self) -> Sample:
        turns = self._chat.sample()
        system = self._rng.choice(chat.SYSTEMS)
        raw = self._prompts.raw(
            "llama2_chat",
            {"message": turns[0][0]} if not self._varies() else {"message": turns[0][0], "system_message": system},
        )
        if self._varies() and self._rng.random() < 0.3:
            raw = f"[INST] {turns[0][0]} [/INST]"
        for (_, answer), (user, _) in pairwise(turns):
            raw += f" {answer} [INST] {user} [/INST]"
        return Sample("llama2_chat", (Message("assistant", turns[-1][1]),), 0, turns[-1][1], raw)

    def _sample(self, task: str, messages: list[Message], answer: str, expected: Any, *, bare: bool = False) -> Sample:
        if self._varies():
            system = Message("system", self._rng.choice(_SYSTEMS[task]))
            messages = messages[1:] if bare and self._rng.random() < 0.25 else [system, *messages[1:]]
        return self._finish(task, messages, answer, expected)

    def _finish(self, task: str, messages: Sequence[Message], answer: str, expected: Any) -> Sample:
        return Sample(task, (*messages, Message("assistant", answer)), len(messages), expected)

    def _varies(self) -> bool:
        """Return whether this piece of a sample departs from the shipped wording; evaluation never does."""
        return not self._held_out and self._rng.random() > SHIPPED_SHARE


def _written(categories: Sequence[str], rng: random.Random) -> str:
    """Return a list of categories the way different people write it."""
    plain = ", ".join(categories)
    quoted = ", ".join(f'"{name}"' for name in categories)
    single = ", ".join(f"'{name}'" for name in categories)
    return rng.choice(
        [
            f"[{plain}]",
            f"[{plain}]",
            f"[{plain}]",
            plain,
            plain,
            f"[{quoted}]",
            f"[{single}]",
            f"[{','.join(categories)}]",
            f"Categories: {plain}",
            f"{{{plain}}}",
            f"({plain})",
            "\n".join(f"- {name}" for name in categories),
            "; ".join(categories),
            " and ".join(categories),
        ]
    )
