"""The choices of the columns' pickers: prompts that take the same inputs, their versions, and models."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from herding.errors import NotFoundError, StoreError
from herding.orchestrator import Orchestrator
from herding.ui.compare.column import ColumnPane, Pairs
from herding.ui.compare.draft import OwnDrafts
from herding.ui.compare.state import DRAFT, Column, ColumnConfig, CompareState
from herding.ui.kit import prompt_text
from herding.values import Principal, PromptInfo

MAX_VERSIONS = 50


class Choices:
    """Reads the choices from the orchestrator."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._drafts = OwnDrafts(orchestrator)

    async def updates(
        self,
        state: CompareState,
        panes: Sequence[ColumnPane],
        prompts: Sequence[PromptInfo],
        who: Principal,
        *,
        fill: bool,
    ) -> list[Any]:
        """Return updates of every column's `setup`; a column keeps its configuration as long as it is available.

        With `fill` the numbers are written as well.
        """
        compatible = {prompt.key: prompt for prompt in prompts if accepts_inputs(prompt, state.prompt)}
        names = [(prompt_text.picker_option(prompt), key) for key, prompt in compatible.items()]
        versions: dict[str, Pairs] = {}
        updates: list[Any] = []
        for column, pane in zip(state.columns, panes, strict=True):
            if column.config.prompt not in compatible:
                column.config = ColumnConfig(state.key)
            key = column.config.prompt
            if key in compatible and key not in versions:
                versions[key] = await self._versions(compatible[key], who)
            info = await self._info(column, compatible.get(key), who)
            updates += pane.show_setup(column, info, names, versions.get(key, []), who=who, fill=fill)
        return updates

    async def _info(self, column: Column, live: PromptInfo | None, who: Principal) -> PromptInfo | None:
        """Return the prompt that a column runs, the live version where the chosen version or draft is gone."""
        if column.config.version and live is not None:
            try:
                if column.config.is_draft:
                    return await self._drafts.info(live, who)
                return await self._orchestrator.prompts.get(column.config.reference, who)
            except (NotFoundError, StoreError):
                column.config = ColumnConfig(live.key, model=column.config.model)
        return live

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


def accepts_inputs(prompt: PromptInfo, chosen: PromptInfo | None) -> bool:
    """Return whether a prompt can run with the inputs of the chosen one."""
    return chosen is not None and prompt.variables.keys() <= chosen.variables.keys()
