"""The button "New prompt", and the little form that asks for a key."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

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
description: What it is good for, in a sentence.
tags: []
target_models: {models}
variables:
  text:
    type: text          # or number, integer, number_list, choice, boolean
    default: A text to try it with.
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
  max_words: 100        # what a good answer looks like
"""

_FOCUS = "() => setTimeout(() => document.querySelector('#new-prompt-key textarea')?.focus(), 250)"

Show = Callable[[str | None, SessionState, Principal], Awaitable[list[Any]]]


class NewPrompt:
    """Layout of the button and the form; `wire` connects them once the page has all that follows a prompt."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._orchestrator = orchestrator
        self._show: Show | None = None
        self.button = gr.Button("New prompt", size="sm", scale=0, visible=False, min_width=110, elem_id="new-prompt")

    def build_form(self) -> None:
        """The form, below the row of the button."""
        with gr.Column(visible=False, elem_classes=["new-prompt"], elem_id="new-prompt-form") as self.form:
            self.key = gr.Textbox(
                label="Key of the new prompt",
                info="letters, digits, _ - . and / for folders, such as mail/short_answer",
                max_length=200,
                elem_id="new-prompt-key",
            )
            self.note = gr.HTML(elem_classes=["note"])
            with gr.Row(elem_classes=["answers"]):
                self.start = gr.Button("Start writing", size="sm", elem_id="new-prompt-start")
                self.away = gr.Button("Cancel", size="sm", elem_id="new-prompt-cancel")

    def wire(self, desk: gr.State, outputs: Sequence[Any], show: Show) -> Any:
        """Connect the events; `show` gives the updates of `outputs`. Tells the one that opens a new prompt."""
        self._show, self._count = show, len(outputs)
        now: dict[str, Any] = {"queue": False}
        on(self.button.click, self.ask, [], [self.form, self.key, self.note], name="new_prompt", **now)
        on(self.away.click, self.leave, [], [self.form], name="no_new_prompt", **now)
        self.button.click(None, None, None, js=_FOCUS)
        triggers = [self.start.click, self.key.submit]
        return on(triggers, self.begin, [self.key, desk], [self.form, self.note, *outputs], name="start_prompt", **now)

    @staticmethod
    def shows(principal: Principal) -> Any:
        """The update of the button."""
        return gr.update(visible=SAVE in principal.rights)

    @requires(SAVE)
    async def ask(self) -> list[Any]:
        """Open the form."""
        return [gr.update(visible=True), "", ""]

    @requires(SAVE)
    async def leave(self) -> Any:
        """Close the form."""
        return gr.update(visible=False)

    @requires(SAVE)
    async def begin(self, key: str | None, desk: SessionState, request: gr.Request) -> list[Any]:
        """Open the editor with a prompt to begin with; one that was begun already is opened as it is."""
        principal, wanted = principal_of(request), str(key or "").strip().strip("/")
        try:
            if desk.running is not None:
                raise UserError("An answer still runs. Wait for it, or stop it, before you begin a new prompt.")
            await self._begin(wanted, principal)
        except HerdingError as error:
            return [gr.skip(), _wrong(error), *(gr.skip() for _ in range(self._count))]
        if self._show is None:
            raise AssertionError("the form is not wired")
        return [gr.update(visible=False), "", *await self._show(wanted, desk, principal)]

    async def _begin(self, key: str, principal: Principal) -> None:
        try:
            await self._orchestrator.prompts.get(key, principal)
        except NotFoundError:
            kept = await self._orchestrator.drafts.of(key, principal)
            if kept is None or kept.edits.whole is None:  # inputs of a prompt that is gone are no beginning
                whole = starter(key, await self._models(principal))
                await self._orchestrator.drafts.begin(key, Edits(whole=whole), principal)
        else:
            raise UserError(f"There is a prompt '{key}' already. Choose another key, or open that one.", param="key")

    async def _models(self, principal: Principal) -> list[str]:
        """The models that the prompts ask for and that are up: the first ones are what a new prompt asks for, too."""
        prompts = await self._orchestrator.prompts.list_all(principal)
        up = [model for prompt in prompts for model, nodes in prompt.served.items() if nodes]
        any_ = [model for prompt in prompts for model in prompt.target_models]
        return list(dict.fromkeys(up or any_))[:3]


def starter(key: str, models: Sequence[str]) -> str:
    """A prompt to begin with, as YAML."""
    name = key.rpartition("/")[2].replace("_", " ").replace("-", " ").strip().capitalize() or "New prompt"
    return STARTER.format(name=json.dumps(name), models=json.dumps(list(models) or ["organisation/model"]))


def _wrong(error: HerdingError) -> Markup:
    return el("p", error.message, cls="wrong", role="alert")
