"""The roles file in the tab "Access": read it, change it, put it in force."""

from __future__ import annotations

import contextlib
import difflib
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import USERS
from herding.access.role_file import RoleNotes
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, panel, success
from herding.values import Principal

WHAT = (
    "What each role may do, and how much of it. What is not listed is not allowed; * stands for all. "
    "Whatever is saved is in force at once."
)
OLD_ONES = "The old roles stay in force"
CHANGED = "The file changed after it was loaded here"


class RoleEditor:
    """Layout of the section, and its handlers. `seen` is the file as it was loaded, which saving compares with."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.seen = gr.State(None)
        gr.HTML(el("p", WHAT, cls="muted"))
        self.problem = gr.HTML(visible=False, elem_id="roles-problem")
        self.text = gr.Code(
            language="yaml",
            lines=20,
            max_lines=36,
            wrap_lines=True,
            show_label=False,
            interactive=True,
            buttons=["copy"],
            elem_id="roles-text",
        )
        with gr.Row(elem_classes=["answers"]):
            self.save = gr.Button("Save roles", variant="primary", size="sm", elem_id="roles-save")
            self.reload = gr.Button("Load the file again", size="sm", elem_id="roles-reload")
        self.note = gr.HTML(elem_id="roles-note", elem_classes=["note"])
        now: dict[str, Any] = {"queue": False}
        on(self.save.click, self.store, [self.text, self.seen], self.outputs, name="roles_save", **now)
        on(self.reload.click, self.load, [], self.outputs, name="roles_reload", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.text, self.seen]

    @property
    def outputs(self) -> list[Any]:
        return [self.text, self.seen, self.problem, self.note]

    @requires(USERS)
    async def opened(self, text: str | None, seen: RoleNotes | None, request: gr.Request) -> list[Any]:
        """The section is opened: the file as it is now, unless somebody changed its text here."""
        notes = await self._accounts.roles(principal_of(request))
        if seen is None or _same(text, seen.text):
            return self._loaded(notes)
        newer = None if notes.digest == seen.digest else conflict(CHANGED, notes.text, text or "")
        return [gr.skip(), seen, _problem(notes), newer or Markup()]

    @requires(USERS)
    async def load(self, request: gr.Request) -> list[Any]:
        """The file as it is now, in the place of what was typed."""
        return self._loaded(await self._accounts.roles(principal_of(request)))

    @requires(USERS)
    async def store(self, text: str | None, seen: RoleNotes | None, request: gr.Request) -> list[Any]:
        """Save the file; where that fails, what was typed stays."""
        principal, typed = principal_of(request), _whole(text)
        try:
            notes = await self._accounts.save_roles(typed, seen.digest if seen else "", principal)
        except HerdingError as error:
            return [gr.skip(), seen, gr.skip(), await self._refused(error, typed, seen, principal)]
        return [notes.text, notes, _problem(notes), success("Saved; these roles are in force.")]

    async def _refused(self, error: HerdingError, typed: str, seen: RoleNotes | None, principal: Principal) -> Markup:
        """Why nothing was saved; with what differs, where somebody else was faster."""
        with contextlib.suppress(HerdingError):  # the first error is the one to read
            now = await self._accounts.roles(principal)
            if seen is not None and now.digest != seen.digest:
                return conflict(error.message, now.text, typed)
        return panel("bad", "Not saved", el("p", error.message), role="alert")

    @staticmethod
    def _loaded(notes: RoleNotes) -> list[Any]:
        return [notes.text, notes, _problem(notes), ""]


def conflict(reason: str, file: str, typed: str) -> Markup:
    """Somebody else changed the file: what it says now beside what was typed here."""
    lines = difflib.unified_diff(
        file.splitlines(), typed.splitlines(), "the file now", "your text", lineterm="", n=1
    )  # fmt: skip
    advice = "Copy what you want to keep, then load the file again and repeat your change."
    diff = el("pre", "\n".join(lines), cls="code", tabindex="0", aria_label="What differs")
    return panel("bad", "Somebody else changed the roles as well", el("p", reason), el("p", advice), diff, role="alert")


def _problem(notes: RoleNotes) -> Any:
    """The banner of a file that is not in force."""
    broken = panel("bad", OLD_ONES, el("p", notes.problem), role="alert") if notes.problem else Markup()
    return gr.update(value=broken, visible=bool(broken))


def _whole(text: str | None) -> str:
    """The text as a file: one kind of line ends, the last line ended too."""
    return (text or "").replace("\r\n", "\n").rstrip() + "\n"


def _same(text: str | None, file: str) -> bool:
    return _whole(text) == _whole(file)
