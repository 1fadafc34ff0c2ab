"""The steps of a chain in the data of a prompt, with what a form holds of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from herding.prompts.render import placeholders
from herding.prompts.steps import as_text

TEXTS = {
    "prompt": ("Prompt", "ID, or ID@version or ID@label"),
    "into": ("Fills variable", ""),
    "when": ("Runs if", "Empty: always"),
    "each": ("Repeats for each item of", "A variable with a list"),
    "group": ("Side-by-side group", "Neighbors with the same name run together"),
}
"""The fields of a step that are texts, with their labels."""


def steps_of(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the steps of a prompt's data, as far as they are maps."""
    steps = data.get("steps")
    return [step for step in steps if isinstance(step, Mapping)] if isinstance(steps, list) else []


def has_text(data: Mapping[str, Any]) -> bool:
    """Return whether a prompt has a text of its own; only a chain may have none."""
    return not steps_of(data) or any(data.get(name) is not None for name in ("messages", "prompt", "variants"))


def edited_steps(steps: Any, texts: Mapping[str, str]) -> Any:
    """Return the steps with the `texts` of a form's fields by name; empty ones remove their keys."""
    if not isinstance(steps, list):
        return steps
    return [_edited(step, f"steps.{n}.", texts) if isinstance(step, dict) else step for n, step in enumerate(steps)]


def _edited(step: dict[str, Any], prefix: str, texts: Mapping[str, str]) -> dict[str, Any]:
    made = dict(step)
    for key in TEXTS:
        text = texts.get(prefix + key)
        if text is None or text == str(step.get(key) or ""):
            continue
        if text.strip():
            made[key] = text.strip()
        else:
            made.pop(key, None)
    given = made.get("variables")
    if isinstance(given, dict):
        made["variables"] = {
            name: _value(value, texts.get(f"{prefix}variables.{name}")) for name, value in given.items()
        }
    return made


def _value(before: Any, text: str | None) -> Any:
    if text is None or text == as_text(before):
        return before
    if isinstance(before, str):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def names_of(data: Mapping[str, Any]) -> tuple[list[str], set[str]]:
    """Return the variables that the steps use, and those that they fill."""
    used: list[str] = []
    filled: set[str] = {"item"}
    for step in steps_of(data):
        given, fields = step.get("variables"), step.get("fields")
        values = given.values() if isinstance(given, Mapping) else ()
        for value in (*values, step.get("otherwise")):
            for text in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
                used += placeholders(text) if isinstance(text, str) else []
        if isinstance(step.get("each"), str):
            used.append(step["each"])
        filled |= {step["into"]} if isinstance(step.get("into"), str) else set()
        filled |= set(fields) if isinstance(fields, Mapping) else set()
    return used, filled


def conditions(data: Mapping[str, Any]) -> str:
    """Return the conditions of all steps."""
    return " ".join(str(step["when"]) for step in steps_of(data) if step.get("when"))
