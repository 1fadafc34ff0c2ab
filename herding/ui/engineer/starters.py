"""Templates to start a new prompt from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from herding.prompts.yaml_dump import dump_file


@dataclass(frozen=True, slots=True)
class Starter:
    """A template: its name, what it is for, and the data of the prompt without name and models."""

    label: str
    about: str
    data: Mapping[str, object]


def _messages(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in pairs]


STARTERS: Mapping[str, Starter] = {
    "empty": Starter(
        "Empty", "One empty message", {"messages": _messages(("user", "")), "parameters": {"max_tokens": 500}}
    ),
    "chat": Starter(
        "Chat assistant",
        "Keeps earlier turns",
        {
            "chat": True,
            "variables": {"message": {"type": "text", "max_chars": 8000}},
            "messages": _messages(
                ("system", "You are a helpful assistant. Answer briefly and correctly."), ("user", "{{message}}")
            ),
            "parameters": {"temperature": 0.7, "max_tokens": 500},
        },
    ),
    "classify": Starter(
        "Classify text",
        "One of several labels",
        {
            "variables": {"text": {"type": "text", "default": "The delivery was two days late.", "max_chars": 8000}},
            "messages": _messages(
                ("system", "Classify the text as positive, neutral or negative. Answer with one word."),
                ("user", "The soup was wonderful."),
                ("assistant", "positive"),
                ("user", "{{text}}"),
            ),
            "parameters": {"temperature": 0, "max_tokens": 5},
            "checks": {"choices": ["positive", "neutral", "negative"], "ignore_case": True},
        },
    ),
    "extract": Starter(
        "Extract JSON",
        "Fields of a text as JSON",
        {
            "variables": {"text": {"type": "text", "default": "Ada Lovelace lives in London.", "max_chars": 8000}},
            "messages": _messages(
                ("system", 'Extract the name and the city. Answer with JSON: {"name": "…", "city": "…"}'),
                ("user", "{{text}}"),
            ),
            "parameters": {"temperature": 0, "max_tokens": 200},
            "checks": {
                "json_schema": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "city": {"type": "string"}},
                    "required": ["name", "city"],
                }
            },
        },
    ),
    "summarize": Starter(
        "Summarize",
        "A short summary with a length check",
        {
            "variables": {
                "text": {"type": "text", "max_chars": 20000},
                "sentences": {"type": "integer", "default": 2, "min": 1, "max": 10},
            },
            "messages": _messages(
                ("system", "Summarize the text in at most {{sentences}} sentences. Add nothing."), ("user", "{{text}}")
            ),
            "parameters": {"temperature": 0.2, "max_tokens": 300},
            "checks": {"max_words": 120},
        },
    ),
    "raw": Starter(
        "Raw text",
        "For models without a chat template",
        {
            "variables": {"text": {"type": "text", "default": "Once upon a time"}},
            "prompt": "{{text}}",
            "parameters": {"max_tokens": 100},
        },
    ),
}
"""The templates by their names in the address (`new`)."""


COPY = "prompt:"
"""Begins a template that is an existing prompt; its ID follows."""


def copied_text(content: Mapping[str, Any], name: str) -> str:
    """Return the YAML of a new prompt with the content of another one; no label comes along."""
    data = {key: value for key, value in content.items() if key not in ("name", "label", "labels")}
    return dump_file({"name": name, **data})


def starter_text(template: str, name: str, models: Sequence[str]) -> str:
    """Return the YAML of a new prompt."""
    starter = STARTERS.get(template, STARTERS["empty"])
    data = {"name": name, "target_models": list(models) or ["organisation/model"], **starter.data}
    return dump_file(json.loads(json.dumps(data)))


def name_from_key(key: str) -> str:
    """Return a name for a prompt with this key."""
    words = key.rpartition("/")[2].replace("_", " ").replace("-", " ").strip()
    return words[:1].upper() + words[1:] or "New prompt"
