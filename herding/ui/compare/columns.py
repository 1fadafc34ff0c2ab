"""The columns of a comparison and their settings, as the form and the address hold it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from herding.errors import UserError
from herding.ui.engineer.setting_fields import COMMON_PARAMETERS, PARAMETERS
from herding.ui.kit.format import format_value
from herding.ui.kit.views import Call
from herding.values import Parameters, PromptInfo, Request

LETTERS = "abcdef"
PAST = "past"
"""Stands for the column of a replayed request where a letter is expected."""

DRAFT = "my draft"
"""Stands for the user's unsaved draft where a version is expected. No label contains a space."""

MAX_ADDRESS = 8_000


@dataclass(frozen=True, slots=True)
class ColumnConfig:
    """The settings of a column. An empty version means the live one, an empty model means automatic routing.

    `parameters` are those that replace the prompt's own; `stop` is a list of texts.
    """

    prompt: str = ""
    version: str = ""
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_draft(self) -> bool:
        """True if the column runs the user's draft."""
        return self.version == DRAFT

    @property
    def reference(self) -> str:
        """The prompt as a request names it, such as `say@3`."""
        return f"{self.prompt}@{self.version}" if self.version else self.prompt

    @property
    def overrides(self) -> Parameters:
        """The parameters that replace the prompt's own."""
        return Parameters.of(self.parameters)

    def request(self, values: Mapping[str, Any]) -> Request:
        """Return the request of a column for these values of the prompt's variables."""
        return Request(self.reference, values, model=self.model or None, parameters=self.overrides)


@dataclass(frozen=True, slots=True)
class Column:
    """A column with its letter, and the prompt that it runs (None if that is gone)."""

    letter: str
    config: ColumnConfig
    info: PromptInfo | None = None

    @property
    def label(self) -> str:
        """The letter as people read it."""
        return self.letter.upper()


def column_label(letter: str) -> str:
    """Return the name of a column in a sentence."""
    return "Past response" if letter == PAST else letter.upper()


def read_columns(call: Call) -> list[Column]:
    """Return the columns of a form, in the order of the page. Raises UserError for unknown ones."""
    letters = list(dict.fromkeys(call.texts("column")))
    if any(letter not in LETTERS or len(letter) != 1 for letter in letters):
        raise UserError("This page is out of date. Reload it and try again.", param="column")
    return [Column(letter, read_config(call, letter)) for letter in letters]


def read_config(call: Call, letter: str) -> ColumnConfig:
    """Return what a column of a form runs."""
    parameters = {}
    for name in COMMON_PARAMETERS:
        value = PARAMETERS[name].read(call.text(f"{letter}.param.{name}"))
        if value not in (None, []):
            parameters[name] = value
    prompt, version, model = (call.text(f"{letter}.{name}") for name in ("prompt", "version", "model"))
    before = call.text(f"{letter}.prompt_shown")
    # A version belongs to its prompt: with another prompt it is meaningless.
    return ColumnConfig(prompt, version if before in ("", prompt) else "", model, parameters)


def next_letter(columns: Iterable[Column]) -> str:
    """Return the letter of another column. Raises UserError if all are taken."""
    taken = [column.letter for column in columns]
    after = LETTERS.index(taken[-1]) + 1 if taken else 0
    for letter in LETTERS[after:] + LETTERS[:after]:
        if letter not in taken:
            return letter
    raise UserError(f"A comparison has at most {len(LETTERS)} columns.", param="column")


def dump_columns(columns: Sequence[Column], key: str) -> str:
    """Return the columns for the address; what is as in every new column is left out."""
    rows = []
    for column in columns:
        config = column.config
        row: dict[str, Any] = {"prompt": config.prompt} if config.prompt != key else {}
        row |= {"version": config.version} if config.version else {}
        row |= {"model": config.model} if config.model else {}
        rows.append(row | ({"parameters": dict(config.parameters)} if config.parameters else {}))
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return text if len(text) <= MAX_ADDRESS else ""


def load_columns(text: str, key: str) -> list[ColumnConfig]:
    """Return the columns of an address; those that cannot be read are left out."""
    try:
        rows = json.loads(text) if text else []
    except (ValueError, RecursionError):
        rows = []
    if not isinstance(rows, list):
        return []
    return [_load(row, key) for row in rows[: len(LETTERS)] if isinstance(row, dict)]


def _load(row: Mapping[str, Any], key: str) -> ColumnConfig:
    parameters = row.get("parameters")
    known = {
        name: value
        for name, value in (parameters.items() if isinstance(parameters, dict) else ())
        if name in COMMON_PARAMETERS and _is_plain(value)
    }
    prompt, version, model = (str(row.get(name) or "") for name in ("prompt", "version", "model"))
    return ColumnConfig(prompt or key, version, model, known)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) for item in value)
    return isinstance(value, int | float | str)


def list_parameters(parameters: Mapping[str, Any]) -> str:
    """Return parameters on one line, such as `top_p 0.3, seed 5`."""
    return ", ".join(f"{name} {parameter_text(name, value)}" for name, value in parameters.items())


def parameter_text(name: str, value: Any) -> str:
    """Return the value of a parameter as text."""
    return ", ".join(map(repr, value)) if name == "stop" and not isinstance(value, str) else format_value(value)
