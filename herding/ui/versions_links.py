"""The ways into the tab "Versions", and from it to "Compare"."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import PROMPTS, RUN
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.ui.compare.state import FIRST, CompareState, Setting
from herding.ui.compare.tab import Compare
from herding.ui.compare_links import BUSY
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.overview.tab import Overview
from herding.ui.versions.read import View
from herding.ui.versions.tab import Versions


class VersionsLinks:
    """Handlers that concern "Versions" and another tab."""

    def __init__(
        self, orchestrator: Orchestrator, *, tabs: gr.Tabs, versions: Versions, overview: Overview, compare: Compare
    ) -> None:
        self._orchestrator = orchestrator
        now: dict[str, Any] = {"queue": False}
        chosen, turned = [overview.chosen, versions.view], [tabs, versions.view]
        on(overview.versions.click, self.look, chosen, turned, name="overview_versions", **now)
        asked, taken = [versions.view, compare.bench], [compare.bench, tabs]
        opened = on(versions.compare.click, self.try_both, asked, taken, name="version_compare", **now)
        given: list[Any] = [compare.bench, compare.owner]
        on(opened.success, compare.opened, given, compare.outputs, name="version_compared", **now)

    @requires(PROMPTS)
    async def look(self, chosen: str, view: View) -> list[Any]:
        """Open the tab with the prompt whose page is open."""
        view.asked = chosen
        return [gr.update(selected="versions"), view]

    @requires(RUN)
    async def try_both(self, view: View, bench: CompareState, request: gr.Request) -> list[Any]:
        """Open "Compare" with the two versions of the diff, each in a column."""
        if bench.running:
            raise UserError(BUSY)
        prompt = await self._orchestrator.prompts.get(view.key, principal_of(request))
        bench.start_with(prompt)
        for number, lane in enumerate(bench.lanes):
            lane.open = number < FIRST
        for lane, version in zip(bench.lanes, (view.old, view.new), strict=False):
            lane.setting = Setting(prompt.key, version="" if version == prompt.version else str(version))
        return [bench, gr.update(selected="compare")]
