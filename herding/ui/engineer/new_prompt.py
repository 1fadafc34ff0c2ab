"""The button "New prompt", and the form that asks for its ID."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr

from herding.access.operations import SAVE
from herding.errors import HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.ui.engineer.session_state import SessionState
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el
from herding.values import Principal

STARTER = """\
name: {name}
description: One sentence about its purpose.
tags: []
target_models: {models}
variables:
  text:
    type: text          # or number, integer, number_list, choice, boolean
    default: An example text.
    max_chars: 8000
messages:
  - role: system
    content: You are a careful assistant. Answer in one sentence.
  - role: user
    content: "{{{{text}}}}"
parameters:
  temperature: 0.2
  max_tokens: 200
checks:
  max_words: 100        # what a good response looks like
"""

_FOCUS = "() => setTimeout(() => document.querySelector('#new-prompt-key textarea')?.focus(), 250)"

Show = Callable[[str | None, SessionState, Principal], Awaitable[list[Any]]]


class NewPrompt:
    """Layout of the button and the form; `wire` connects them once the other components of the tab are there."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._show: Show | None = None
        self.button = gr.Button("New prompt", size="sm", scale=0, visible=False, min_width=110, elem_id="new-prompt")

    def build_form(self) -> None:
        """Add the form, below the row of the button."""
        with gr.Column(visible=False, elem_classes=["new-prompt"], elem_id="new-prompt-form") as self.form:
            self.key = gr.Textbox(
                label="Prompt ID",
                info="Letters, digits, _ - . and / for folders, for example mail/short_answer",
                max_length=200,
                elem_id="new-prompt-key",
            )
            self.note = gr.HTML(elem_classes=["note"])
            with gr.Row(elem_classes=["answers"]):
                self.create = gr.Button("Create", size="sm", elem_id="new-prompt-start")
                self.cancel = gr.Button("Cancel", size="sm", elem_id="new-prompt-cancel")

    def wire(self, session: gr.State, outputs: Sequence[Any], show: Show) -> Any:
        """Connect the events; `show` returns the updates of `outputs`. Return the event that opens a new prompt."""
        self._show, self._count = show, len(outputs)
        form = [self.form, self.key, self.note]
        on(self.button.click, self.open_form, [], form, name="new_prompt", queue=False)
        on(self.cancel.click, self.close_form, [], [self.form], name="no_new_prompt", queue=False)
        self.button.click(None, None, None, js=_FOCUS)
        return on(
            [self.create.click, self.key.submit],
            self.start,
            [self.key, session],
            [self.form, self.note, *outputs],
            name="start_prompt",
            queue=False,
        )

    @staticmethod
    def show(principal: Principal) -> Any:
        """Return the update of the button."""
        return gr.update(visible=SAVE in principal.rights)

    @requires(SAVE)
    async def open_form(self) -> list[Any]:
        """Open the form."""
        return [gr.update(visible=True), "", ""]

    @requires(SAVE)
    async def close_form(self) -> Any:
        """Close the form."""
        return gr.update(visible=False)

    @requires(SAVE)
    async def start(self, key: str | None, session: SessionState, request: gr.Request) -> list[Any]:
        """Create a draft from the starter template and open it; an existing draft of this ID is opened as it is."""
        principal, wanted = principal_of(request), str(key or "").strip().strip("/")
        try:
            if session.running_id is not None:
                raise UserError("A request is still running. Wait for it or stop it first.")
            await self._create(wanted, principal)
        except HerdingError as error:
            note = el("p", error.message, cls="wrong", role="alert")
            return [gr.skip(), note, *(gr.skip() for _ in range(self._count))]
        if self._show is None:
            raise AssertionError("NewPrompt.wire was not called")
        return [gr.update(visible=False), "", *await self._show(wanted, session, principal)]

    async def _create(self, key: str, principal: Principal) -> None:
        try:
            await self._orchestrator.prompts.get(key, principal)
        except NotFoundError:
            draft = await self._orchestrator.drafts.get(key, principal)
            if draft is None or draft.edits.whole is None:  # values of a deleted prompt are no draft of a new one
                whole = starter(key, await self._models(principal))
                await self._orchestrator.drafts.store_new(key, Edits(whole=whole), principal)
        else:
            raise UserError(f"Prompt '{key}' already exists. Enter another ID, or open that prompt.", param="key")

    async def _models(self, principal: Principal) -> list[str]:
        """Return up to three target models of the other prompts, available ones if there are any."""
        prompts = await self._orchestrator.prompts.list_all(principal)
        available = [model for prompt in prompts for model, nodes in prompt.served.items() if nodes]
        targets = [model for prompt in prompts for model in prompt.target_models]
        return list(dict.fromkeys(available or targets))[:3]


def starter(key: str, models: Sequence[str]) -> str:
    """Return the YAML that a new prompt starts with."""
    name = key.rpartition("/")[2].replace("_", " ").replace("-", " ").strip().capitalize() or "New prompt"
    return STARTER.format(name=json.dumps(name), models=json.dumps(list(models) or ["organisation/model"]))
