"""The roles section of the Access tab: an editor for the roles file."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import USERS
from herding.access.role_file import RoleNotes
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, join, panel, success
from herding.values import Principal

HELP = "Permissions and limits of each role. Anything not listed is denied; * means all. Changes apply immediately."
INACTIVE = "The previous roles stay active"
CHANGED = "The file has changed since it was loaded."


class RoleEditor:
    """The section and its handlers; `loaded` is the file as it was loaded, to detect changes by others."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts, self._patterns = orchestrator.accounts, orchestrator.role_patterns
        self.loaded = gr.State(None)
        gr.HTML(el("p", HELP, cls="muted"))
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
            self.reload = gr.Button("Reload file", size="sm", elem_id="roles-reload")
        self.note = gr.HTML(elem_id="roles-note", elem_classes=["note"])
        now: dict[str, Any] = {"queue": False}
        on(self.save.click, self.save_file, [self.text, self.loaded], self.outputs, name="roles_save", **now)
        on(self.reload.click, self.load, [], self.outputs, name="roles_reload", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.text, self.loaded]

    @property
    def outputs(self) -> list[Any]:
        return [self.text, self.loaded, self.problem, self.note]

    @requires(USERS)
    async def opened(self, text: str | None, loaded: RoleNotes | None, request: gr.Request) -> list[Any]:
        """Open the section with the current file, unless the text was edited here."""
        notes = await self._accounts.roles(principal_of(request))
        if loaded is None or _same(text, loaded.text):
            return self._show(notes, self._patterns.unmatched(principal_of(request)))
        newer = None if notes.digest == loaded.digest else conflict(CHANGED, notes.text, text or "")
        return [gr.skip(), loaded, _problem(notes), newer or Markup()]

    @requires(USERS)
    async def load(self, request: gr.Request) -> list[Any]:
        """Replace the text with the current file."""
        principal = principal_of(request)
        return self._show(await self._accounts.roles(principal), self._patterns.unmatched(principal))

    @requires(USERS)
    async def save_file(self, text: str | None, loaded: RoleNotes | None, request: gr.Request) -> list[Any]:
        """Save the file; on an error the typed text stays."""
        principal, typed = principal_of(request), _normalize(text)
        try:
            notes = await self._accounts.save_roles(typed, loaded.digest if loaded else "", principal)
        except HerdingError as error:
            return [gr.skip(), loaded, gr.skip(), await self._failed(error, typed, loaded, principal)]
        done = join([success("Roles saved and active."), _warning_panel(self._patterns.unmatched(principal))])
        return [notes.text, notes, _problem(notes), done]

    async def _failed(self, error: HerdingError, typed: str, loaded: RoleNotes | None, principal: Principal) -> Markup:
        """Return why nothing was saved, with the differences if the file was changed by someone else."""
        with contextlib.suppress(HerdingError):  # the first error is the one to report
            now = await self._accounts.roles(principal)
            if loaded is not None and now.digest != loaded.digest:
                return conflict(error.message, now.text, typed)
        return panel("bad", "Not saved", el("p", error.message), role="alert")

    @staticmethod
    def _show(notes: RoleNotes, warnings: Sequence[str]) -> list[Any]:
        return [notes.text, notes, _problem(notes), _warning_panel(warnings) or ""]


def conflict(reason: str, file: str, typed: str) -> Markup:
    """Return the differences between the file and the typed text."""
    lines = difflib.unified_diff(
        file.splitlines(), typed.splitlines(), "file", "your text", lineterm="", n=1
    )  # fmt: skip
    advice = "Copy what you want to keep, reload the file and repeat your change."
    diff = el("pre", "\n".join(lines), cls="code", tabindex="0", aria_label="Differences")
    return panel("bad", "Someone else changed the roles", el("p", reason), el("p", advice), diff, role="alert")


def _warning_panel(warnings: Sequence[str]) -> Markup | None:
    """Return the patterns of roles that match nothing, None without any."""
    items = el("ul", *(el("li", warning) for warning in warnings))
    return panel("warn", "Patterns without effect", items) if warnings else None


def _problem(notes: RoleNotes) -> Any:
    """Return an update of the banner for an invalid file."""
    broken = panel("bad", INACTIVE, el("p", notes.problem), role="alert") if notes.problem else Markup()
    return gr.update(value=broken, visible=bool(broken))


def _normalize(text: str | None) -> str:
    """Return the text with Unix line ends and a final line end."""
    return (text or "").replace("\r\n", "\n").rstrip() + "\n"


def _same(text: str | None, file: str) -> bool:
    return _normalize(text) == _normalize(file)
