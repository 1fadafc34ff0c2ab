"""What the columns may choose from: prompts that take the same inputs, their versions, and models that are up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from herding.errors import NotFoundError, StoreError
from herding.orchestrator import Orchestrator
from herding.ui.compare.column import ColumnPane, Pairs
from herding.ui.compare.draft import OwnDrafts
from herding.ui.compare.state import DRAFT, Column, CompareState, Setting
from herding.ui.kit import prompt_text
from herding.values import Principal, PromptInfo

VERSIONS = 50
"""Versions of a prompt that a column offers."""


class Choices:
    """Asks the orchestrator for what the pickers of the columns offer."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._drafts = OwnDrafts(orchestrator)

    async def of(
        self,
        bench: CompareState,
        panes: Sequence[ColumnPane],
        prompts: Sequence[PromptInfo],
        who: Principal,
        *,
        fill: bool,
    ) -> list[Any]:
        """Updates of the `setup` of all columns; what a column holds stays if it still can."""
        able = {prompt.key: prompt for prompt in prompts if takes(prompt, bench.prompt)}
        named = [(prompt_text.picker_option(prompt), key) for key, prompt in able.items()]
        versions: dict[str, Pairs] = {}
        updates: list[Any] = []
        for lane, pane in zip(bench.lanes, panes, strict=True):
            if lane.setting.prompt not in able:
                lane.setting = Setting(bench.key)
            key = lane.setting.prompt
            if key in able and key not in versions:
                versions[key] = await self._versions(able[key], who)
            info = await self._info(lane, able.get(key), who)
            offered = versions.get(key, [])
            updates += pane.fits(lane, info, named, offered, who=who, fill=fill)
        return updates

    async def _info(self, lane: Column, served: PromptInfo | None, who: Principal) -> PromptInfo | None:
        """The prompt that a column runs; a version or draft that is not there any more gives way to the served one."""
        if lane.setting.version and served is not None:
            try:
                if lane.setting.is_draft:
                    return await self._drafts.info(served, who)
                return await self._orchestrator.prompts.get(lane.setting.reference, who)
            except (NotFoundError, StoreError):
                lane.setting = Setting(served.key, model=lane.setting.model)
        return served

    async def _versions(self, prompt: PromptInfo, who: Principal) -> Pairs:
        """The versions of a prompt: the served one, one's own draft, those of the labels, and the newest by number."""
        draft = [("my draft · not saved", DRAFT)] if await self._drafts.of(prompt.key, who) else []
        first = f"v{prompt.version} · served" if prompt.version else "served"
        named = [(f"v{number} · {label}", label) for label, number in prompt.labels.items()]
        newest = [(f"v{prompt.newest} · newest", "newest")] if prompt.newest > prompt.version else []
        numbers: list[int] = []
        with suppress(NotFoundError, StoreError):
            numbers = [
                found.number for found in await self._orchestrator.studio.versions(prompt.key, who, limit=VERSIONS)
            ]
        return [(first, ""), *draft, *newest, *named, *((f"v{number}", str(number)) for number in numbers)]


def takes(prompt: PromptInfo, chosen: PromptInfo | None) -> bool:
    """Whether a prompt can be run with the inputs of the chosen one."""
    return chosen is not None and prompt.variables.keys() <= chosen.variables.keys()
