"""The link from the Versions tab to Compare."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import RUN
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.ui.compare.state import ColumnConfig, CompareState
from herding.ui.compare.tab import CompareTab
from herding.ui.compare_links import BUSY
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.versions.state import VersionsState
from herding.ui.versions.tab import VersionsTab


class VersionsLinks:
    """The handler of the link."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        *,
        tabs: gr.Tabs,
        versions: VersionsTab,
        compare: CompareTab,
    ) -> None:
        self._orchestrator = orchestrator
        now: dict[str, Any] = {"queue": False}
        both, shown = [versions.state, compare.state], [compare.state, tabs]
        opened = on(versions.compare.click, self.compare_versions, both, shown, name="version_compare", **now)
        state: list[Any] = [compare.state, compare.owner]
        on(opened.success, compare.opened, state, compare.outputs, name="version_compared", **now)

    @requires(RUN)
    async def compare_versions(self, versions: VersionsState, compare: CompareState, request: gr.Request) -> list[Any]:
        """Open the Compare tab with both versions of the diff, each in a column."""
        if compare.running:
            raise UserError(BUSY)
        prompt = await self._orchestrator.prompts.get(versions.key, principal_of(request))
        old, new = (
            ColumnConfig(prompt.key, version="" if number == prompt.version else str(number))
            for number in (versions.old, versions.new)
        )
        compare.start_pair(prompt, old, new)
        return [compare, gr.update(selected="compare")]
