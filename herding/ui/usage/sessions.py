"""The browsers in which the reader is logged in, and a button to log out of all of them."""

from __future__ import annotations

from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import USAGE
from herding.orchestrator import Orchestrator
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import datetime_tag, el, join
from herding.values import LoginSession, Principal

QUESTION = "This logs you out in all browsers, including this one. Your tokens stay valid."
_TO_LOGIN = "() => { window.location.href = 'login?out=1'; }"


class SessionsPane:
    """The list of sessions, and the button."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.list = gr.HTML(elem_id="sessions")
        self.end = ConfirmButton(
            "Log out everywhere", QUESTION, "Log out", right=USAGE, name="end_sessions", elem_id="end-sessions"
        )
        ended = on(self.end.yes.click, self.log_out, [], [self.list], name="end_sessions")
        ended.success(None, None, None, js=_TO_LOGIN)

    @property
    def outputs(self) -> list[Any]:
        return [self.list, *self.end.outputs]

    async def show(self, principal: Principal) -> list[Any]:
        """Return updates of `outputs`."""
        found = await self._accounts.sessions(principal)
        return [session_list(found, principal), *self.end.show(bool(found))]

    @requires(USAGE)
    async def log_out(self, request: gr.Request) -> Any:
        """End all sessions of the reader."""
        await self._accounts.end_sessions(principal_of(request))
        return Markup()


def session_list(sessions: tuple[LoginSession, ...], principal: Principal) -> Markup:
    """Return the list of sessions; empty for a reader without any."""
    if not sessions:
        return Markup()
    rows = (_row(session, current=session.digest == principal.session) for session in sessions)
    return join([el("h2", "Your sessions"), el("ul", *rows, cls="plain sessions")])


def _row(session: LoginSession, *, current: bool) -> Markup:
    seen = "This browser, logged in " if current else "Last used "
    return el("li", seen, datetime_tag(session.created_at if current else session.seen_at))
