"""Measures cria: `python -m training.cria.evaluate [--n 200] [--model DIR]` prints a table.

Every task is asked through its shipped prompt and the model's own chat template, with names that training never
shows, once greedily and once at the temperature the prompt ships with. In the rows `..., new patterns` the sentence
patterns are new to the model as well; the rows `... by hand` use the sentences of `handmade.yaml`, which no generator
wrote.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

from training.cria import jay, small_tasks
from training.cria.generate import WEIGHTS, Generator, Message, PromptFiles, Sample

HOME: Final = Path(__file__).resolve().parent
ENGINE: Final = HOME.parents[1] / "herding" / "engine" / "cria"
WEIGHTS_FOLDER: Final = ENGINE / "weights"
HANDMADE: Final = HOME / "handmade.yaml"
SEED: Final = 20_000_003
BATCH: Final = 50
"""Prompts of one generate call."""


@dataclass(frozen=True)
class Row:
    """Results of one task: how many of `count` answers are `right`, and how many keep the `form`."""

    name: str
    decoding: str
    count: int
    form: int
    right: int


class Model:
    """A loaded model directory."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        self._tokenizer.padding_side = "left"
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, dtype=torch.bfloat16
        )
        self._model.requires_grad_(False)

    def prompt_of(self, sample: Sample) -> str:
        """Return the text the model gets for a sample."""
        if sample.raw:
            return sample.raw
        messages = [{"role": message.role, "content": message.content} for message in sample.messages[:-1]]
        return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def answers(self, samples: Sequence[Sample], settings: Mapping[str, Any]) -> list[str]:
        """Return the model's answers; similar lengths share a batch."""
        prompts = [self.prompt_of(sample) for sample in samples]
        order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
        found = [""] * len(prompts)
        for start in range(0, len(order), BATCH):
            places = order[start : start + BATCH]
            for place, text in zip(places, self._generate([prompts[place] for place in places], settings), strict=True):
                found[place] = text
        return found

    def _generate(self, prompts: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
        batch = self._tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False)
        with torch.inference_mode():
            ids = self._model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], **settings)
        texts = self._tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]


def settings_of(task: str, prompts: PromptFiles, *, greedy: bool) -> dict[str, Any]:
    """Return the arguments of `generate` for a task."""
    shipped = prompts.parameters(task)
    length = {"max_new_tokens": shipped["max_tokens"]}
    if greedy:
        return {**length, "do_sample": False}
    return {
        **length,
        "do_sample": True,
        "temperature": shipped["temperature"],
        "top_p": shipped["top_p"],
        "top_k": shipped["top_k"],
    }


def judge(sample: Sample, answer: str) -> tuple[bool, bool]:
    """Return whether an answer keeps the form of its task, and whether it is right."""
    if sample.task == "entity_recognition":
        return _judge_entities(sample.expected, answer)
    if sample.task == "jay_trainer":
        error, attempts = sample.expected
        return _judge_jay(error, attempts, answer)
    if sample.task == "scattergories":
        category, letter = sample.expected
        fitting = small_tasks.scatter_answers(category, letter) or [small_tasks.NO_WORD]
        return answer[:1].upper() == letter.upper() or answer == small_tasks.NO_WORD, answer in fitting
    if sample.task == "sentiment":
        return answer in {"positive", "negative", "neutral"}, answer == sample.expected
    return bool(answer), answer == sample.expected


def _judge_entities(expected: Mapping[str, list[str]], answer: str) -> tuple[bool, bool]:
    try:
        found = json.loads(answer)
    except ValueError:
        return False, False
    return isinstance(found, dict), found == expected and list(found) == list(expected)


def _judge_jay(error: str, attempts: list[str], answer: str) -> tuple[bool, bool]:
    text, marker, _ = answer.partition(jay.MARKER)
    keeps = bool(marker) and 0 < len(text.split()) <= jay.MAX_WORDS and len(text.strip()) <= 160
    numbers = re.findall(r"\d+(?:\.\d+)?", text)
    return keeps, keeps and set(numbers) <= {error, "450", *attempts} and guessed_band(text) == jay.band_of(
        float(error)
    )


def guessed_band(text: str) -> str:
    """Return the band whose comments share most words with a text (naive Bayes over the writer's own comments)."""
    counts = _band_words()

    def likelihood(band: str) -> float:
        total = sum(counts[band].values()) + 2000
        return sum(math.log((counts[band][word] + 0.2) / total) for word in _words(text))

    return max(counts, key=likelihood)


@cache
def _band_words() -> Mapping[str, Counter[str]]:
    writer = jay.JayWriter(random.Random(SEED))
    return {
        band: Counter(word for _ in range(1500) for word in _words(writer.comment(*writer.values(band))))
        for band in jay.SYSTEMS
    }


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.replace(jay.MARKER, "").lower())


PATTERNED: Final = ("entity_recognition", "sentiment")
"""Tasks some of whose patterns are reserved."""


def held_out(task: str, count: int, prompts: PromptFiles, *, reserved: bool = False) -> list[Sample]:
    """Return samples of a task that share no name, and with `reserved` no sentence pattern, with training."""
    generator = Generator(SEED, held_out=True, reserved=reserved, prompts=prompts)
    return [generator.sample(task) for _ in range(count)]


def handmade(prompts: PromptFiles) -> dict[str, list[Sample]]:
    """Return the hand-written samples by task."""
    source = yaml.safe_load(HANDMADE.read_text(encoding="utf-8"))
    entities = [
        _asked(
            "entity_recognition",
            {"categories": f"[{', '.join(item['answer'])}]", "text": item["text"]},
            json.dumps(item["answer"], ensure_ascii=False),
            prompts,
            item["answer"],
        )
        for item in source["entities"]
    ]
    tones = [
        _asked("sentiment", {"text": text}, tone, prompts, tone)
        for tone, texts in source["sentiment"].items()
        for text in texts
    ]
    return {"entity_recognition": entities, "sentiment": tones}


def _asked(task: str, values: Mapping[str, str], answer: str, prompts: PromptFiles, expected: Any) -> Sample:
    messages = prompts.messages(task, values)
    return Sample(task, (*messages, Message("assistant", answer)), len(messages), expected)


def measure(
    model: Model, name: str, samples: Sequence[Sample], settings: Mapping[str, Any], show: list[str] | None = None
) -> Row:
    """Return one row of the table; with `show`, wrong answers are noted there."""
    answers = model.answers(samples, settings)
    verdicts = [judge(sample, answer) for sample, answer in zip(samples, answers, strict=True)]
    if show is not None:
        show += [
            f"[{name}] {sample.raw or sample.messages[-2].content!r}\n  got  {answer}\n  want {sample.answer}"
            for sample, answer, (_, right) in zip(samples, answers, verdicts, strict=True)
            if not right
        ]
    decoding = f"temperature {settings['temperature']}" if settings["do_sample"] else "greedy"
    return Row(name, decoding, len(samples), sum(form for form, _ in verdicts), sum(right for _, right in verdicts))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| task | decoding | n | form kept | right |", "|---|---|---|---|---|"]
    lines += [
        f"| {row.name} | {row.decoding} | {row.count} | {row.form / row.count:.1%} | {row.right / row.count:.1%} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Reads the command line, measures and prints."""
    parser = argparse.ArgumentParser(description="Measures cria.")
    parser.add_argument("--n", type=int, default=200, help="samples of each task")
    parser.add_argument("--model", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--tasks", nargs="*", default=list(WEIGHTS), choices=list(WEIGHTS))
    parser.add_argument("--greedy-only", action="store_true")
    parser.add_argument("--show", type=int, default=0, help="wrong greedy answers to print of each row")
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the number to torch")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(SEED)
    model, prompts = Model(options.model), PromptFiles()
    sets = [(task, task, held_out(task, options.n, prompts)) for task in options.tasks]
    sets += [
        (f"{task}, new patterns", task, held_out(task, options.n, prompts, reserved=True))
        for task in PATTERNED
        if task in options.tasks
    ]
    sets += [(f"{task} by hand", task, samples) for task, samples in handmade(prompts).items() if task in options.tasks]
    rows: list[Row] = []
    for name, task, samples in sets:
        wrong: list[str] = []
        for greedy in (True,) if options.greedy_only else (True, False):
            rows.append(
                measure(model, name, samples, settings_of(task, prompts, greedy=greedy), wrong if greedy else None)
            )
        print("\n".join(wrong[: options.show]), end="\n" if options.show else "")
    print(table(rows))


if __name__ == "__main__":
    main()
