"""The options of the pickers of columns: prompts that take the same inputs, their versions, and models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from herding.errors import NotFoundError, StoreError
from herding.orchestrator import Orchestrator
from herding.ui.compare.columns import DRAFT, Column, ColumnConfig
from herding.ui.compare.draft import OwnDrafts
from herding.ui.engineer.models import ModelChoice, model_choices
from herding.ui.kit import prompt_text
from herding.values import Entry, Principal, PromptInfo

MAX_VERSIONS = 50
MAX_PROMPTS = 300

Pairs = Sequence[tuple[str, str]]
"""The labels and values of a picker's options."""


@dataclass(frozen=True, slots=True)
class Pickers:
    """The options of the pickers of one column."""

    prompts: Pairs = ()
    versions: Pairs = ()
    models: Sequence[ModelChoice] = ()


@dataclass(frozen=True, slots=True)
class Board:
    """A comparison: its prompt, its columns, the values of the inputs, and the request that is replayed."""

    prompt: PromptInfo
    columns: Sequence[Column]
    values: Mapping[str, Any] = field(default_factory=dict)
    past: Entry | None = None

    @property
    def variables(self) -> dict[str, Mapping[str, Any]]:
        """The variables of the prompt, and those that only versions or drafts in the columns have."""
        found = dict(self.prompt.variables)
        for column in self.columns:
            for name, variable in (column.info.variables if column.info else {}).items():
                found.setdefault(name, variable)
        return found

    @property
    def form_prompt(self) -> PromptInfo:
        """The prompt with the variables of all columns, for reading the form."""
        return replace(self.prompt, variables=self.variables)


class Choices:
    """Reads the prompts of the columns, and the options of their pickers."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._drafts = OwnDrafts(orchestrator)

    async def resolve(self, columns: Sequence[Column], live: PromptInfo, who: Principal) -> list[Column]:
        """Return the columns with the prompts that they run.

        A column whose version or draft is gone runs the live version; one whose prompt is gone runs the prompt `live`.
        """
        return [await self._resolved(column, live, who) for column in columns]

    async def _resolved(self, column: Column, live: PromptInfo, who: Principal) -> Column:
        config = column.config
        if config.prompt != live.key:
            try:
                live = await self._orchestrator.prompts.get(config.prompt, who)
            except NotFoundError:
                return Column(column.letter, ColumnConfig(live.key), live)
        if not config.version:
            return Column(column.letter, config, live)
        try:
            if config.is_draft:
                return Column(column.letter, config, await self._drafts.info(live, who))
            return Column(column.letter, config, await self._orchestrator.prompts.get(config.reference, who))
        except (NotFoundError, StoreError):
            return Column(column.letter, replace(config, version=""), live)

    async def pickers(self, board: Board, who: Principal) -> dict[str, Pickers]:
        """Return the options of every column by its letter."""
        prompts = await self._orchestrator.prompts.list_all(who)
        fitting = [prompt for prompt in prompts if accepts_inputs(prompt, board.prompt)]
        versions: dict[str, Pairs] = {}
        models: dict[tuple[str, ...], Sequence[ModelChoice]] = {}
        found = {}
        for column in board.columns:
            info, key = column.info or board.prompt, column.config.prompt
            if key not in versions:
                live = next((prompt for prompt in prompts if prompt.key == key), board.prompt)
                versions[key] = await self._versions(live, who)
            if info.target_models not in models:
                models[info.target_models] = await model_choices(info, who, self._orchestrator)
            listed = _cut(fitting, (board.prompt.key, key))
            names = [(prompt_text.picker_option(prompt), prompt.key) for prompt in listed]
            found[column.letter] = Pickers(names, versions[key], models[info.target_models])
        return found

    async def _versions(self, prompt: PromptInfo, who: Principal) -> Pairs:
        """Return the live version, the user's draft, the labels, and the latest versions by number."""
        draft = [("My draft (unsaved)", DRAFT)] if await self._drafts.find(prompt.key, who) else []
        live = f"v{prompt.version} · live" if prompt.version else "live"
        labels = [(f"v{number} · {label}", label) for label, number in prompt.labels.items()]
        latest = [(f"v{prompt.newest} · latest", "newest")] if prompt.newest > prompt.version else []
        numbers: list[int] = []
        with suppress(NotFoundError, StoreError):
            found = await self._orchestrator.studio.versions(prompt.key, who, limit=MAX_VERSIONS)
            numbers = [version.number for version in found]
        return [(live, ""), *draft, *latest, *labels, *((f"v{number}", str(number)) for number in numbers)]


def accepts_inputs(prompt: PromptInfo, chosen: PromptInfo) -> bool:
    """Return whether a prompt can run with the inputs of the chosen one."""
    return prompt.variables.keys() <= chosen.variables.keys()


def default_configs(prompt: PromptInfo) -> list[ColumnConfig]:
    """Return two columns: one for each of the first two models that respond, else with automatic routing."""
    served = [model for model, nodes in prompt.served.items() if nodes]
    models = served[:2] if len(served) > 1 else ["", ""]
    return [ColumnConfig(prompt.key, model=model) for model in models]


def _cut(prompts: Sequence[PromptInfo], always: Sequence[str]) -> list[PromptInfo]:
    """Return so many prompts as a picker holds, with those that are selected."""
    first = list(prompts[:MAX_PROMPTS])
    return first + [prompt for prompt in prompts[MAX_PROMPTS:] if prompt.key in always]
