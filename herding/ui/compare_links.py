"""The ways into the tab "Compare" and out of it: from the history, and to the first tab."""

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
from herding.ui.compare.state import FIRST, CompareState, Setting
from herding.ui.compare.summary import listed
from herding.ui.compare.tab import Compare
from herding.ui.engineer.runner import model_picker
from herding.ui.engineer.session_state import SessionState
from herding.ui.engineer.tab import Engineer
from herding.ui.history.tab import History
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, join, panel
from herding.values import Outcome, Principal, PromptInfo

BUSY = "An answer still runs there. Wait for it, or stop it."
MORE = ("top_p", "top_k", "seed", "stop")
"""Parameters that have no field in a column."""


class CompareLinks:
    """Handlers that concern "Compare" and another tab."""

    def __init__(
        self, orchestrator: Orchestrator, *, tabs: gr.Tabs, compare: Compare, history: History, engineer: Engineer
    ) -> None:
        self._orchestrator, self._compare, self._engineer = orchestrator, compare, engineer
        self._drafts = OwnDrafts(orchestrator)
        now: dict[str, Any] = {"queue": False}
        asked = [history.chosen, compare.bench]
        opened = on(history.compare.click, self.replay, asked, [compare.bench, tabs], name="history_compare", **now)
        given = [compare.bench, compare.owner]
        on(opened.success, compare.opened, given, compare.outputs, name="compare_replayed", **now)
        for number, lane in enumerate(compare.lanes):
            given = [engineer.session, *compare.inputs]
            shown = [tabs, *engineer.outputs]
            used = on(lane.use.click, self._user(number), given, shown, name=f"compare_use_{number}", **now)
            engineer.code_panel.update_after(used)

    @requires(HISTORY)
    async def replay(self, chosen: str, bench: CompareState, request: gr.Request) -> list[Any]:
        """Open the tab with the inputs of a request of the history; the first column is what it ran."""
        principal = principal_of(request)
        if bench.running:
            raise UserError(BUSY)
        row = (await self._orchestrator.request(chosen, principal)).outcome
        prompt = await self._orchestrator.prompt(row.prompt, principal)
        bench.start_with(prompt)
        bench.values[prompt.key] = dict(row.variables)
        for number, lane in enumerate(bench.lanes):
            lane.open = number < FIRST
        bench.lanes[0].setting = ran = await self._ran(row, prompt, principal)
        bench.notice = join([_unsaved(ran, prompt) if row.edited else None, _besides(ran)])
        other = _other(row, prompt)
        bench.lanes[1].setting = replace(ran, model=other) if other else replace(ran, version="", model="")
        return [bench, gr.update(selected="compare")]

    async def _ran(self, row: Outcome, prompt: PromptInfo, principal: Principal) -> Setting:
        """What a request ran, where it differs from what its prompt is now."""
        own, given = prompt.parameters, row.parameters
        version = str(row.version) if row.version not in (0, prompt.version) else ""
        if version:
            try:
                own = (await self._orchestrator.prompt(f"{prompt.key}@{version}", principal)).parameters
            except NotFoundError:  # it is not there for this role: the served one is the nearest
                version = ""
        return Setting(
            prompt.key,
            version=version,
            model=row.model or "",
            temperature=given.temperature if given.temperature != own.temperature else None,
            max_tokens=given.max_tokens if given.max_tokens != own.max_tokens else None,
            more=tuple((name, held) for name in MORE if (held := getattr(given, name)) != getattr(own, name)),
        )

    def _user(self, number: int) -> Callable[..., Awaitable[list[Any]]]:
        @requires(RUN)
        async def use(
            session: SessionState, bench: CompareState, owner: str | None, request: gr.Request, *fields: Any
        ) -> list[Any]:
            """Make what the column runs, and the inputs, the draft of the first tab, and open that."""
            principal = principal_of(request)
            if session.running_id is not None:
                raise UserError(BUSY)
            self._compare.keep(bench, owner, fields)
            lane = bench.lanes[number]
            await self._put(session, bench, lane.setting, principal)
            shown = await self._shown(session, lane.setting, lane.letter, principal)
            return [gr.update(selected="engineer"), *shown]

        return use

    async def _put(self, session: SessionState, bench: CompareState, setting: Setting, principal: Principal) -> None:
        """Make what a column runs the draft of the first tab: another version comes as edits of the one shown there."""
        keeper = self._engineer.editor.drafts
        served = await self._orchestrator.prompt(setting.prompt, principal)
        shown = await keeper.editable(served, principal)
        wanted, edits = await self._wanted(setting, served, shown, principal)
        given = {name: held for name, held in bench.given(wanted).items() if name in wanted.variables}
        session.prompt = shown
        await keeper.load(session, principal)
        session.apply(replace(edits, variables=given))
        draft = session.draft
        draft.redo_stack, draft.undo_step, draft.conflict = [], None, None
        draft.base_version = draft.base_version if setting.is_draft else shown.version
        await keeper.save(session, principal, typed=False)

    async def _wanted(
        self, setting: Setting, served: PromptInfo, shown: PromptInfo, principal: Principal
    ) -> tuple[PromptInfo, Edits]:
        """The prompt that a column runs, and what makes it of the version that the first tab shows."""
        if setting.is_draft:
            kept = await self._drafts.edits(setting.prompt, principal)
            both = {**kept.parameters, **setting.parameters}
            return await self._drafts.info(served, principal), replace(kept, parameters=both)
        wanted = await self._orchestrator.prompt(setting.reference, principal) if setting.version else served
        edits = edits_to(wanted, shown, setting.parameters)
        if (edits.template and EDIT not in principal.rights) or (edits.whole and SAVE not in principal.rights):
            raise UserError("Your role can use only the served version there. Choose it in this column first.")
        return wanted, edits

    async def _shown(self, session: SessionState, setting: Setting, letter: str, principal: Principal) -> list[Any]:
        updates = await self._engineer.show(setting.prompt, session, principal)
        picker = model_picker(session.prompt, setting.model)[0]
        model = self._engineer.runner.model
        about, told = self._engineer.about, _taken(letter, setting, session)
        instead = {model: picker, about: join([told, updates[self._engineer.outputs.index(about)]])}
        pairs = zip(self._engineer.outputs, updates, strict=True)
        return [instead.get(component, update) for component, update in pairs]


def _unsaved(ran: Setting, prompt: PromptInfo) -> Markup:
    """What is to be known of the replay of a request whose text was edited for that run."""
    number = ran.version or str(prompt.version or "")
    words = (
        "The edited text itself is not kept with the request; what exactly was sent stands in the history. "
        f"Column A runs the saved {f'version {number}' if number else 'prompt'} in its place."
    )
    return panel("warn", "This request ran with a text that was edited and not saved", el("p", words), role="status")


def _besides(ran: Setting) -> Markup | None:
    """The parameters of a replay that are in no field."""
    words = f"Its other parameters go along with the columns: {listed(dict(ran.more))}."
    return el("p", words, cls="muted", role="status") if ran.more else None


def _taken(letter: str, setting: Setting, session: SessionState) -> Markup:
    """That a column is the draft now; the pane of the draft tells whether it is kept."""
    version = f"version {setting.version}" if setting.version else "as it is served"
    what = "your draft" if setting.is_draft else version
    model = f", for {setting.model}" if setting.model else ""
    words = f"{setting.prompt} ({what}){model}, with the inputs and parameters of the column."
    if session.draft.save_error is None:
        words += " It is kept as your draft; Undo goes back."
    return panel("calm", f"Taken over from column {letter} of Compare", el("p", words), role="status")


def _other(row: Outcome, prompt: PromptInfo) -> str:
    """Another model that is up; auto where there is none."""
    return next((model for model, nodes in prompt.served.items() if nodes and model != row.model), "")
