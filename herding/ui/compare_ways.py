"""The ways into the tab "Compare" and out of it: from the history, and to the first tab."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import gradio as gr

from herding.access.operations import EDIT, HISTORY, RUN
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.ui.compare import Compare
from herding.ui.compare_bench import FIRST, Bench, Setting
from herding.ui.desk import Desk, is_edited
from herding.ui.engineer import Engineer
from herding.ui.guard import needs, on, who
from herding.ui.history import History
from herding.ui.runner import models
from herding.values import Outcome, Principal, PromptInfo

BUSY = "An answer still runs there. Wait for it, or stop it."


class Ways:
    """Handlers that concern "Compare" and another tab."""

    def __init__(
        self, orchestrator: Orchestrator, *, tabs: gr.Tabs, compare: Compare, history: History, engineer: Engineer
    ) -> None:
        self._orchestrator, self._compare, self._engineer = orchestrator, compare, engineer
        now: dict[str, Any] = {"queue": False}
        asked = [history.chosen, compare.bench]
        opened = on(history.compare.click, self.replay, asked, [compare.bench, tabs], name="history_compare", **now)
        given = [compare.bench, compare.owner]
        on(opened.success, compare.opened, given, compare.outputs, name="compare_replayed", **now)
        for number, lane in enumerate(compare.lanes):
            given = [engineer.desk, *compare.inputs]
            shown = [tabs, *engineer.outputs]
            used = on(lane.use.click, self._user(number), given, shown, name=f"compare_use_{number}", **now)
            engineer.elsewhere.follow(used)

    @needs(HISTORY)
    async def replay(self, chosen: str, bench: Bench, request: gr.Request) -> list[Any]:
        """Open the tab with the inputs of a request of the history; the first column is what it ran."""
        principal = who(request)
        if bench.running:
            raise UserError(BUSY)
        row = (await self._orchestrator.request(chosen, principal)).outcome
        prompt = await self._orchestrator.prompt(row.prompt, principal)
        bench.start_with(prompt)
        bench.values[prompt.key] = dict(row.variables)
        for number, lane in enumerate(bench.lanes):
            lane.open = number < FIRST
        bench.lanes[0].setting = _ran(row, prompt)
        bench.lanes[1].setting = Setting(prompt.key, model=_other(row, prompt))
        return [bench, gr.update(selected="compare")]

    def _user(self, number: int) -> Callable[..., Awaitable[list[Any]]]:
        @needs(RUN)
        async def use(desk: Desk, bench: Bench, owner: str | None, request: gr.Request, *fields: Any) -> list[Any]:
            """Open the first tab with what the column runs, and the inputs."""
            principal = who(request)
            if desk.running is not None:
                raise UserError(BUSY)
            self._compare.keep(bench, owner, fields)
            setting = bench.lanes[number].setting
            await self._put(desk, bench, setting, principal)
            return [gr.update(selected="engineer"), *await self._shown(desk, setting, principal)]

        return use

    async def _put(self, desk: Desk, bench: Bench, setting: Setting, principal: Principal) -> None:
        """Lay inputs and parameters on the desk; another version than the served one comes as an edited template."""
        served = await self._orchestrator.prompt(setting.prompt, principal)
        wanted = await self._orchestrator.prompt(setting.reference, principal) if setting.version else served
        shown = await self._engineer.editor.keeper.opened(served, principal)
        other = is_edited(wanted.body, shown.body)
        if other and EDIT not in principal.rights:
            raise UserError("Your role can use only the served version there. Choose it in this column first.")
        desk.prompt = shown
        await self._engineer.editor.keeper.load(desk, principal)
        draft = desk.draft
        draft.values = {name: value for name, value in bench.given(served).items() if name in shown.variables}
        draft.parameters = setting.parameters
        draft.template, draft.whole, draft.as_whole = wanted.body if other else None, None, False
        draft.turned += 1

    async def _shown(self, desk: Desk, setting: Setting, principal: Principal) -> list[Any]:
        updates = await self._engineer.show(setting.prompt, desk, principal)
        picker = models(desk.prompt, setting.model)[0]
        model = self._engineer.runner.model
        pairs = zip(self._engineer.outputs, updates, strict=True)
        return [picker if component is model else update for component, update in pairs]


def _ran(row: Outcome, prompt: PromptInfo) -> Setting:
    """What a request ran, where it differs from what its prompt is now."""
    own, given = prompt.parameters, row.parameters
    return Setting(
        prompt.key,
        version=str(row.version) if row.version not in (0, prompt.version) else "",
        model=row.model or "",
        temperature=given.temperature if given.temperature != own.temperature else None,
        max_tokens=given.max_tokens if given.max_tokens != own.max_tokens else None,
    )


def _other(row: Outcome, prompt: PromptInfo) -> str:
    """Another model that is up; auto where there is none."""
    return next((model for model, nodes in prompt.served.items() if nodes and model != row.model), "")
