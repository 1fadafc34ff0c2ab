"""Links between the Compare tab and others: from History, and to the Prompt engineer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from herding.access.operations import EDIT, RUN, SAVE
from herding.errors import UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.ui.compare.draft import OwnDrafts, edits_to
from herding.ui.compare.state import ColumnConfig, CompareState
from herding.ui.compare.tab import CompareTab
from herding.ui.engineer.edited import editable, require_prompt, store, with_edits
from herding.ui.kit.events import on, principal_of, requires
from herding.values import Principal, PromptInfo

BUSY = "A request is still running there. Wait for it to finish, or stop it."
OPEN = """(prompt, _, model) => document.dispatchEvent(
  new CustomEvent("open-tab", { detail: { tab: "engineer", fields: { prompt, model } } }))"""
OTHER_PARAMETERS = ("top_p", "top_k", "seed", "stop")
"""Parameters without a field in a column."""


class CompareLinks:
    """The handlers of these links."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        *,
        compare: CompareTab,
    ) -> None:
        self._orchestrator, self._compare = orchestrator, compare
        self._drafts = OwnDrafts(orchestrator)
        now: dict[str, Any] = {"queue": False}
        for number, column in enumerate(compare.columns):
            copied = on(column.use.click, self._copy(number), compare.inputs, [], name=f"compare_use_{number}", **now)
            copied.success(None, column.fields[:3], None, js=OPEN)

    def _copy(self, number: int) -> Callable[..., Awaitable[list[Any]]]:
        @requires(RUN)
        async def copy(state: CompareState, owner: str | None, request: gr.Request, *fields: Any) -> list[Any]:
            """Copy the column and the inputs to the draft of the Prompt engineer tab."""
            principal = principal_of(request)
            self._compare.read(state, owner, fields)
            await self._fill_draft(state, state.columns[number].config, principal)
            return []

        return copy

    async def _fill_draft(self, state: CompareState, config: ColumnConfig, principal: Principal) -> None:
        """Store a column as the draft of its prompt; the draft before can be gone back to."""
        live = await self._orchestrator.prompts.get(config.prompt, principal)
        found = await editable(config.prompt, principal, self._orchestrator)
        shown = require_prompt(found, config.prompt)
        target, edits = await self._target(config, live, shown, principal)
        edits = replace(edits, variables=state.values_for(target))
        made = await with_edits(shown, edits, principal, self._orchestrator)
        stored = await store(made, principal, self._orchestrator)
        if stored.error:
            raise stored.error

    async def _target(
        self, config: ColumnConfig, live: PromptInfo, shown: PromptInfo, principal: Principal
    ) -> tuple[PromptInfo, Edits]:
        """Return the prompt that a column runs, and the edits that turn `shown` into it."""
        if config.is_draft:
            edits = await self._drafts.edits(config.prompt, principal)
            parameters = {**edits.parameters, **config.parameters}
            return await self._drafts.info(live, principal), replace(edits, parameters=parameters)
        target = await self._orchestrator.prompts.get(config.reference, principal) if config.version else live
        edits = edits_to(target, shown, config.parameters)
        if (edits.template and EDIT not in principal.rights) or (edits.whole and SAVE not in principal.rights):
            raise UserError("Your role can only use the live version there. Choose it in this column first.")
        return target, edits
