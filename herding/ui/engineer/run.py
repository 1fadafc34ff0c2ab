"""Running the edited prompt: its routes, and what the page shows of the response.

`run.js` sends the form of the tab to `run` and shows the events that come back. A chat sends its earlier turns along;
the address keeps the ids of the requests on the page (`run`), so that a reload shows them again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

from markupsafe import Markup

from herding.access.operations import HISTORY, RATE, RUN
from herding.errors import HerdingError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.ui.engineer import chat, code_panel
from herding.ui.engineer.branches import Branches
from herding.ui.engineer.errors import field_of_value
from herding.ui.engineer.feedback import COMMENT_SAVED, RATING_SAVED, feedback, news
from herding.ui.engineer.form import EditedPrompt, is_unsaved, read_form, run_request
from herding.ui.engineer.retrieved import with_context
from herding.ui.kit.fields import button, parse_stars
from herding.ui.kit.format import el, empty_state, join
from herding.ui.kit.responses import response
from herding.ui.kit.responses.stream import recorded_outcome, response_events, stop_requests
from herding.ui.kit.views import Call, fragment
from herding.values import Message, Outcome, Principal, Request

MAX_SHOWN = 100
"""Turns of a chat that a reload brings back."""

NO_RESPONSE = empty_state("No response yet", "Fill in the variables, then press Run or Ctrl+Enter.")


def run_buttons() -> Markup:
    """Return the buttons Run and Stop, and the status of the request."""
    return el(
        "div",
        button("Run", kind="primary", id="run", title="Ctrl+Enter"),
        button("Stop", kind="danger", id="stop", disabled="", data_then="run"),
        el("div", id="run-status", role="status"),
        cls="run-buttons",
    )


def response_section(edited: EditedPrompt, *, run: str = "") -> Markup:
    """Return the part beside the editor; `run.js` fills in what the address names, or the recorded requests `run`."""
    is_chat = edited.prompt.chat
    composed = chat.chat_variable(edited) if is_chat else None
    return el(
        "section",
        el(
            "div",
            el("h2", "Chat" if is_chat else "Response"),
            chat.new_chat_button() if is_chat else None,
            cls="response-head",
        ),
        el("div", chat.NO_TURNS if is_chat else NO_RESPONSE, id="response", cls="response-box"),
        chat.composer(edited, composed) if composed else None,
        code_panel.panel_section(),
        id="engineer-response",
        cls="engineer-response engineer-section",
        data_module="run",
        data_key=edited.key,
        data_chat="" if is_chat else None,
        data_variable=composed,
        data_run=run or None,
        aria_label="Response",
    )


class RunRoutes:
    """The routes of a run; the tab inherits them."""

    _orchestrator: Orchestrator

    @fragment("POST", "/run", RUN)
    async def run(self, call: Call) -> AsyncIterator[tuple[str, Any]]:
        """Run the edited prompt and yield its events; leaving ends the request."""
        who, ended = call.principal, list[Outcome]()
        try:
            edited = await read_form(call, self._orchestrator)
            request = with_context(_request(call, edited), call)
            if edited.prompt.chat:
                yield "question", await self._question(request, call.text("message"), who)
        except HerdingError as error:
            yield "status", response.not_sent_status(error.type)
            yield "wrong", _wrong(error)
            yield "done", response.error_panel(error.type, error.message)
            return
        refused: list[HerdingError] = []

        async def finish(outcome: Outcome | None, error: HerdingError | None, text: str) -> Markup:
            outcome = outcome or await recorded_outcome(error, who, self._orchestrator)
            if outcome is not None:
                ended.append(outcome)
                return _result(outcome, who, is_chat=edited.prompt.chat)
            if error is not None:
                refused.append(error)
            partial = response.response_text(text) if text else None
            shown = response.error_panel(error.type, error.message) if error else None
            return el("div", partial, shown, cls="response")

        stream = self._orchestrator.pipeline.stream(request, who)
        async with contextlib.aclosing(response_events(stream, finish)) as events:
            async for name, data in events:
                if name == "done":
                    yield "status", _end_status(ended, refused)
                    yield "wrong", _wrong(*refused)
                    if ended:
                        yield "ended", {"request": ended[0].request_id, "session": request.session_id or ""}
                yield name, data

    async def _question(self, request: Request, message: str, who: Principal) -> Markup:
        """Return the user's turn, with the rendered text that later turns refer to."""
        rendered = await self._orchestrator.pipeline.preview(request, who)
        content = rendered.messages[-1].content if rendered.messages else ""
        return chat.user_turn(message or content, content)

    @fragment("POST", "/stop", RUN)
    async def stop(self, call: Call) -> Markup:
        """Stop a running request; the text received so far stays."""
        await stop_requests(call.texts("request"), call.principal, self._orchestrator)
        return Markup()

    @fragment("GET", "/response", HISTORY)
    async def response(self, call: Call) -> Markup:
        """Return recorded responses to a prompt: the last one, or all turns of a chat; empty if there is none."""
        who, key, is_chat = call.principal, call.text("key"), bool(call.text("chat"))
        ids = [found for found in call.text("run").split("~") if found][-MAX_SHOWN if is_chat else -1 :]
        branches = await self._branches(ids, who) if is_chat else None
        shown = []
        for request_id in ids:
            try:
                entry = await self._orchestrator.history.entry(request_id, who)
            except NotFoundError:
                continue
            outcome = entry.outcome
            if outcome.prompt != key:
                continue
            rated = feedback(request_id, entry=entry, reader=who) if RATE in who.rights else None
            html = _result(outcome, who, is_chat=is_chat, rating=rated)
            if is_chat:
                switch = branches.switch(request_id) if branches else None
                shown += [chat.recorded_question(outcome, switch), chat.assistant_turn(outcome, html)]
            else:
                shown.append(el("div", html, data_request=request_id, data_status=str(response.final_status(outcome))))
        return join(shown)

    async def _branches(self, ids: Sequence[str], who: Principal) -> Branches | None:
        """Return the branches of the chat of the last request, None if it is gone."""
        with contextlib.suppress(NotFoundError, IndexError):
            return Branches(await self._orchestrator.history.chat(ids[-1], who))
        return None

    @fragment("POST", "/rate/{request_id}", RATE)
    async def rate(self, call: Call) -> Markup:
        """Save the stars of a response; 0 removes them."""
        stars = parse_stars(call.whole("stars"))
        await self._orchestrator.feedback.rate(call.path["request_id"], stars, call.principal)
        return await self._news(RATING_SAVED, call)

    @fragment("POST", "/comment/{request_id}", RATE)
    async def comment(self, call: Call) -> Markup:
        """Save the comment on a response."""
        text = call.text("comment").replace("\r\n", "\n")
        await self._orchestrator.feedback.comment(call.path["request_id"], text, call.principal)
        return await self._news(COMMENT_SAVED, call)

    async def _news(self, saved: Markup, call: Call) -> Markup:
        """Return what was saved, with the ratings of all users for roles that may read the history."""
        entry = None
        if HISTORY in call.principal.rights:
            entry = await self._orchestrator.history.entry(call.path["request_id"], call.principal)
        return news(saved, entry, call.principal)

    @fragment("POST", "/code", RUN)
    async def code(self, call: Call) -> Markup:
        """Return the run as code."""
        edited = await read_form(call, self._orchestrator)
        if is_unsaved(edited.saved):
            return code_panel.NOT_SAVED
        message, name = call.text("message"), chat.chat_variable(edited)
        values = {**edited.values, name: message} if message and name else edited.values
        return code_panel.code_html(edited, values, call)


def _result(outcome: Outcome, who: Principal, *, is_chat: bool, rating: Markup | None = None) -> Markup:
    """Return a recorded response with the fields to rate it."""
    shown = response.response_view(outcome, status=False, compact=is_chat)
    rating = (feedback(outcome.request_id) if rating is None else rating) if RATE in who.rights else None
    return join([shown, chat.turn_tools() if is_chat else None, rating])


def _end_status(ended: Sequence[Outcome], refused: Sequence[HerdingError]) -> Markup:
    """Return the status of a request that has ended, or that was refused."""
    return response.final_status(ended[0]) if ended else response.not_sent_status(refused[0].type if refused else "")


def _wrong(*errors: HerdingError) -> dict[str, str]:
    """Return the field of the value that was refused, with the reason; empty if it was not for a value."""
    return next(({"field": name, "message": e.message} for e in errors if (name := field_of_value(e))), {})


def _request(call: Call, edited: EditedPrompt) -> Request:
    """Return the request of a form; that of a chat has its earlier turns and the new message."""
    if not edited.prompt.chat:
        return run_request(edited)
    variables = dict(edited.edits.variables)
    name, message = chat.chat_variable(edited), call.text("message").replace("\r\n", "\n")
    if name and message:
        variables[name] = message
    session = call.text("session") or uuid4().hex
    return run_request(edited, turns=_turns(call.text("turns")), session_id=session, variables=variables)


def _turns(text: str) -> list[Message]:
    """Return the earlier turns of a form. Raises UserError."""
    try:
        given = json.loads(text or "[]")
        turns = [Message(role, content) for role, content in given]
    except (ValueError, TypeError, RecursionError):
        turns, given = [], None
    valid = all(turn.role in ("user", "assistant") and isinstance(turn.content, str) for turn in turns)
    if given is None or not valid:
        raise UserError("The turns of this chat can't be read. Start a new chat.", param="turns")
    return turns
