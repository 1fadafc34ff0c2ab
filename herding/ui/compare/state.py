"""The state of one session's Compare tab: one set of inputs, and up to six columns that run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from herding.ui.kit.response import RunProgress
from herding.values import Outcome, Parameters, PromptInfo, Request

LETTERS = "ABCDEF"
INITIAL_COLUMNS = 2
DRAFT = "my draft"
"""Stands for the user's unsaved draft where a version is expected. No label contains a space."""


@dataclass(frozen=True, slots=True)
class ColumnConfig:
    """The configuration of a column. An empty version means the live one, an empty model means automatic routing.

    `extra` holds parameters without a field in the column, by name: those of a replayed request.
    """

    prompt: str = ""
    version: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    extra: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def from_fields(cls, fields: Sequence[Any]) -> ColumnConfig:
        """Read the values of a column's fields."""
        prompt, version, model, temperature, max_tokens = fields
        return cls(str(prompt or ""), str(version or ""), str(model or ""), temperature, max_tokens)

    @property
    def is_draft(self) -> bool:
        return self.version == DRAFT

    @property
    def reference(self) -> str:
        """The prompt as a request names it, such as `say@3`."""
        return f"{self.prompt}@{self.version}" if self.version else self.prompt

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that differ from the prompt's own, by name; `stop` is a list of texts."""
        fields = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        extra = {name: list(value) if name == "stop" else value for name, value in self.extra}
        return {name: value for name, value in fields.items() if value is not None} | extra

    @property
    def overrides(self) -> Parameters:
        """The same as parameters of a request."""
        return Parameters.of(self.parameters)

    def request(self, values: Mapping[str, Any]) -> Request:
        """Return the request of a column for these values of the prompt's variables."""
        return Request(self.reference, values, model=self.model or None, parameters=self.overrides)


@dataclass(frozen=True, slots=True)
class ColumnRun:
    """A finished run of a column."""

    config: ColumnConfig
    outcome: Outcome


@dataclass
class Column:
    """A column: its configuration, its current response, and all its runs of this session."""

    letter: str
    open: bool = False
    config: ColumnConfig = ColumnConfig()
    progress: RunProgress | None = None
    runs: list[ColumnRun] = field(default_factory=list)

    @property
    def answer(self) -> str:
        return self.progress.text if self.progress else ""

    @property
    def outcome(self) -> Outcome | None:
        """The outcome of the last run, None before it ends."""
        return self.progress.outcome if self.progress else None


def _columns() -> list[Column]:
    return [Column(letter, open=number < INITIAL_COLUMNS) for number, letter in enumerate(LETTERS)]


@dataclass
class CompareState:
    """The state of one session's tab.

    `values` holds the inputs of every prompt chosen so far; `shape` is the current shape of the form, None if unknown.
    `redraw` is set until the page shows this state; `stopped` asks the running columns to end. `notice` explains where
    the columns came from.
    """

    prompt: PromptInfo | None = None
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    shape: tuple[str, ...] | None = ()
    columns: list[Column] = field(default_factory=_columns)
    redraw: bool = True
    running: bool = False
    stopped: bool = False
    notice: Markup = field(default_factory=Markup)

    @property
    def key(self) -> str:
        """The key of the chosen prompt."""
        return self.prompt.key if self.prompt else ""

    @property
    def open_columns(self) -> list[Column]:
        return [column for column in self.columns if column.open]

    @property
    def has_room(self) -> bool:
        """True while another column can be added."""
        return not all(column.open for column in self.columns)

    def start(self, prompt: PromptInfo | None) -> None:
        """Switch to a prompt: every column runs its live version, and old responses are dropped."""
        self.prompt, self.redraw, self.notice = prompt, True, Markup()
        for column in self.columns:
            column.progress = None
            column.config = ColumnConfig(self.key)

    def start_pair(self, prompt: PromptInfo, left: ColumnConfig, right: ColumnConfig) -> None:
        """Switch to a prompt with two columns of these configurations."""
        self.start(prompt)
        for number, column in enumerate(self.columns):
            column.open = number < INITIAL_COLUMNS
        self.columns[0].config, self.columns[1].config = left, right

    def values_for(self, prompt: PromptInfo) -> dict[str, Any]:
        """Return the inputs that are variables of `prompt`."""
        return {name: value for name, value in self.values.get(self.key, {}).items() if name in prompt.variables}
