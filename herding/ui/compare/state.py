"""What a browser session compares: one set of inputs, and up to six columns that answer it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from herding.ui.engineer.session_state import format_stops
from herding.ui.kit.parameters import to_parameters
from herding.ui.kit.response import RunProgress
from herding.values import Outcome, Parameters, PromptInfo, Request

LETTERS = "ABCDEF"
FIRST = 2
"""Columns that are there at first."""

DRAFT = "my draft"
"""In the place of a version: what the person changed and did not save. No label has a space in it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a column runs. Without a version the prompt is what its key alone means; without a model, auto.

    `more` are the parameters that have no field in a column, by name: those of a request that is run again.
    """

    prompt: str = ""
    version: str = ""
    model: str = ""
    temperature: float | None = None
    max_tokens: int | None = None
    more: tuple[tuple[str, Any], ...] = ()

    @property
    def is_draft(self) -> bool:
        """Whether it runs the person's own draft."""
        return self.version == DRAFT

    @property
    def reference(self) -> str:
        """The prompt as a request names it; of a draft, what it is called."""
        return f"{self.prompt}@{self.version}" if self.version else self.prompt

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that are not left to the prompt, by name; `stop` is a list of texts."""
        given = {"temperature": self.temperature, "max_tokens": self.max_tokens}
        more = {name: list(held) if name == "stop" else held for name, held in self.more}
        return {name: held for name, held in given.items() if held is not None} | more

    @property
    def overrides(self) -> Parameters:
        """The same as parameters of a request."""
        given = self.parameters
        return to_parameters(given | ({"stop": format_stops(given["stop"])} if "stop" in given else {}))

    def request(self, values: Mapping[str, Any]) -> Request:
        """The request of a column, with the values of its prompt's variables."""
        return Request(self.reference, values, model=self.model or None, parameters=self.overrides)


def setting(fields: Sequence[Any]) -> Setting:
    """What the fields of a column hold."""
    prompt, version, model, temperature, max_tokens = fields
    return Setting(str(prompt or ""), str(version or ""), str(model or ""), temperature, max_tokens)


@dataclass(frozen=True, slots=True)
class Ran:
    """A run of a column that has a row."""

    setting: Setting
    outcome: Outcome


@dataclass
class Column:
    """A column: what it runs, its answer, and all its runs of this session."""

    letter: str
    open: bool = False
    setting: Setting = Setting()
    progress: RunProgress | None = None
    runs: list[Ran] = field(default_factory=list)

    @property
    def answer(self) -> str:
        """The text that is there."""
        return self.progress.text if self.progress else ""

    @property
    def outcome(self) -> Outcome | None:
        """How its last run went, None before its end."""
        return self.progress.outcome if self.progress else None


def _lanes() -> list[Column]:
    return [Column(letter, open=number < FIRST) for number, letter in enumerate(LETTERS)]


@dataclass
class CompareState:
    """The state of one session's tab.

    `values` are the inputs of every prompt that was chosen; `shape` is what the form looks like now, None where nobody
    knows. `fresh` says that the page does not show yet what is here; `stopped`, that the running columns are to end.
    `notice` is what there is to say of how the columns came to be what they are.
    """

    prompt: PromptInfo | None = None
    values: dict[str, dict[str, Any]] = field(default_factory=dict)
    shape: tuple[str, ...] | None = ()
    lanes: list[Column] = field(default_factory=_lanes)
    fresh: bool = True
    running: bool = False
    stopped: bool = False
    notice: Markup = field(default_factory=Markup)

    @property
    def key(self) -> str:
        """The key of the chosen prompt."""
        return self.prompt.key if self.prompt else ""

    @property
    def opened(self) -> list[Column]:
        """The columns that are there."""
        return [lane for lane in self.lanes if lane.open]

    def start_with(self, prompt: PromptInfo | None) -> None:
        """Another prompt: every column runs it, as it is, and the old answers go."""
        self.prompt, self.fresh, self.notice = prompt, True, Markup()
        for lane in self.lanes:
            lane.progress = None
            lane.setting = Setting(self.key)

    def given(self, prompt: PromptInfo) -> dict[str, Any]:
        """The inputs that are variables of `prompt`."""
        return {name: held for name, held in self.values.get(self.key, {}).items() if name in prompt.variables}
