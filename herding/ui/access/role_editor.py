"""The roles of the Access tab: an editor for the roles file."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Sequence
from hashlib import sha256

from markupsafe import Markup

from herding.access.operations import USERS
from herding.access.role_file import RoleNotes
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit.fields import button, hidden_field
from herding.ui.kit.format import el, failure, join, panel, success
from herding.ui.kit.live import out_of_band
from herding.ui.kit.views import Call, Reply, fragment
from herding.ui.kit.yaml_field import yaml_field

HELP = "Permissions and limits of each role. Anything not listed is denied; * means all. Changes apply immediately."
INACTIVE = "The previous roles stay active"
CHANGED = "The file has changed since it was loaded."
TARGET = "#access-roles"


class RoleRoutes:
    """The routes of the section; the tab inherits them.

    The form holds the digest of the file as it was loaded, and that of the text, to detect changes by others and here.
    """

    _orchestrator: Orchestrator

    @fragment("GET", "/sections/roles", USERS)
    async def roles_section(self, call: Call) -> Markup:
        """Return the editor with the current file."""
        notes = await self._orchestrator.accounts.roles(call.principal)
        return editor(notes, self._orchestrator.role_patterns.unmatched(call.principal))

    @fragment("POST", "/roles/check", USERS)
    async def check_roles(self, call: Call) -> Reply:
        """Return the section as it is when it is opened again: a text that was not edited follows the file."""
        notes = await self._orchestrator.accounts.roles(call.principal)
        typed = _normalize(call.text("text"))
        if _digest(typed) == call.text("untouched"):
            return Reply(editor(notes, self._orchestrator.role_patterns.unmatched(call.principal)))
        newer = None if notes.digest == call.text("loaded") else conflict(CHANGED, notes.text, typed)
        return Reply(editor(notes, (), typed=typed, loaded=call.text("loaded"), note=newer,
                            untouched=call.text("untouched")))  # fmt: skip

    @fragment("POST", "/roles", USERS)
    async def save_roles(self, call: Call) -> Reply:
        """Save the file; on an error the typed text stays."""
        typed, loaded, accounts = _normalize(call.text("text")), call.text("loaded"), self._orchestrator.accounts
        try:
            notes = await accounts.save_roles(typed, loaded, call.principal)
        except HerdingError as error:
            return Reply(await self._failed(error, typed, loaded, call))
        warnings = self._orchestrator.role_patterns.unmatched(call.principal)
        done = join([success("Roles saved and active."), _warning_panel(warnings)])
        return Reply(
            join([done, out_of_band({"roles-problem": _problem(notes), "roles-loaded": _loaded(notes.digest,
                                     _digest(_normalize(notes.text)))})])
        )  # fmt: skip

    async def _failed(self, error: HerdingError, typed: str, loaded: str, call: Call) -> Markup:
        """Return why nothing was saved, with the differences if the file was changed by someone else."""
        with contextlib.suppress(HerdingError):  # the first error is the one to report
            now = await self._orchestrator.accounts.roles(call.principal)
            if now.digest != loaded:
                return conflict(error.message, now.text, typed)
        return failure("Not saved", error.message)


def editor(
    notes: RoleNotes,
    warnings: Sequence[str],
    *,
    typed: str | None = None,
    loaded: str = "",
    untouched: str = "",
    note: Markup | None = None,
) -> Markup:
    """Return the editor with the file, or with a text that was typed on top of the file `loaded`."""
    text = notes.text if typed is None else typed
    kept = _loaded(loaded or notes.digest, untouched or _digest(_normalize(notes.text)))
    area = yaml_field(
        text, "text", id="roles-text", errors="#roles-note", label="Roles file (YAML)", about="roles-help"
    )
    told = el("div", note or _warning_panel(warnings), id="roles-note")
    actions = el(
        "div",
        button("Save roles", kind="primary", submit=True, id="roles-save"),
        button("Reload file", id="roles-reload", hx_get="ui/access/sections/roles", hx_target=TARGET),
        cls="answers access-actions",
    )
    form = el(
        "form",
        actions,
        told,
        area,
        el("div", kept, id="roles-loaded"),
        id="roles-form",
        cls="access-fields",
        hx_post="ui/access/roles",
        hx_target="#roles-note",
        hx_sync="this:drop",
    )
    help_text = el("p", HELP, cls="muted", id="roles-help")
    return join([help_text, el("div", _problem(notes), id="roles-problem"), form])


def _loaded(digest: str, untouched: str) -> Markup:
    fields = {"loaded": digest, "untouched": untouched}
    return join(hidden_field(name, value) for name, value in fields.items())


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


def _problem(notes: RoleNotes) -> Markup:
    """Return the banner for an invalid file; empty for a valid one."""
    return failure(INACTIVE, notes.problem) if notes.problem else Markup()


def _normalize(text: str) -> str:
    """Return the text with Unix line ends and a final line end."""
    return text.replace("\r\n", "\n").rstrip() + "\n"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
