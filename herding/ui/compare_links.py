"""Links between the Compare tab and others: from History, and to the Prompt engineer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import EDIT, HISTORY, RUN, SAVE
from herding.errors import NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.ui.compare.draft import OwnDrafts, edits_to
from herding.ui.compare.state import ColumnConfig, CompareState
from herding.ui.compare.summary import list_parameters
from herding.ui.compare.tab import CompareTab
from herding.ui.engineer.edited import editable, require_prompt, store, with_edits
from herding.ui.history.tab import HistoryTab
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, join, panel
from herding.values import Outcome, Principal, PromptInfo

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
        tabs: gr.Tabs,
        compare: CompareTab,
        history: HistoryTab,
    ) -> None:
        self._orchestrator, self._compare = orchestrator, compare
        self._drafts = OwnDrafts(orchestrator)
        now: dict[str, Any] = {"queue": False}
        inputs = [history.chosen, compare.state]
        opened = on(history.compare.click, self.replay, inputs, [compare.state, tabs], name="history_compare", **now)
        state = [compare.state, compare.owner]
        on(opened.success, compare.opened, state, compare.outputs, name="compare_replayed", **now)
        for number, column in enumerate(compare.columns):
            copied = on(column.use.click, self._copy(number), compare.inputs, [], name=f"compare_use_{number}", **now)
            copied.success(None, column.fields[:3], None, js=OPEN)

    @requires(HISTORY)
    async def replay(self, chosen: str, state: CompareState, request: gr.Request) -> list[Any]:
        """Open the tab with the inputs of a past request; the first column repeats that request."""
        principal = principal_of(request)
        if state.running:
            raise UserError(BUSY)
        row = (await self._orchestrator.history.entry(chosen, principal)).outcome
        prompt = await self._orchestrator.prompts.get(row.prompt, principal)
        config = await self._config_of(row, prompt, principal)
        other = _other_model(row, prompt)
        state.start_pair(
            prompt, config, replace(config, model=other) if other else replace(config, version="", model="")
        )
        state.values[prompt.key] = dict(row.variables)
        state.notice = join([_unsaved_edit(config, prompt) if row.edited else None, _other_parameters(config)])
        return [state, gr.update(selected="compare")]

    async def _config_of(self, row: Outcome, prompt: PromptInfo, principal: Principal) -> ColumnConfig:
        """Return the configuration that repeats a request."""
        own, given = prompt.parameters, row.parameters
        version = str(row.version) if row.version not in (0, prompt.version) else ""
        if version:
            try:
                own = (await self._orchestrator.prompts.get(f"{prompt.key}@{version}", principal)).parameters
            except NotFoundError:  # not visible to this role: the live version is the nearest
                version = ""
        return ColumnConfig(
            prompt.key,
            version=version,
            model=row.model or "",
            temperature=given.temperature if given.temperature != own.temperature else None,
            max_tokens=given.max_tokens if given.max_tokens != own.max_tokens else None,
            extra=tuple(
                (name, value) for name in OTHER_PARAMETERS if (value := getattr(given, name)) != getattr(own, name)
            ),
        )

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


def _unsaved_edit(config: ColumnConfig, prompt: PromptInfo) -> Markup:
    """Return the notice for the replay of a request that ran an edited template."""
    number = config.version or str(prompt.version or "")
    text = (
        "The edited template is not stored with the request; History shows the exact input. "
        f"Column A runs the saved {f'version {number}' if number else 'prompt'} instead."
    )
    return panel("warn", "This request ran an unsaved edit", el("p", text), role="status")


def _other_parameters(config: ColumnConfig) -> Markup | None:
    text = f"All columns also use these parameters: {list_parameters(dict(config.extra))}."
    return el("p", text, cls="muted", role="status") if config.extra else None


def _other_model(row: Outcome, prompt: PromptInfo) -> str:
    """Return another available model of the prompt, empty for automatic routing."""
    return next((model for model, nodes in prompt.served.items() if nodes and model != row.model), "")
