"""Running all columns at once, each as its own request, and stopping them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from markupsafe import Markup

from herding.access.operations import HISTORY, RATE, RUN
from herding.errors import HerdingError, UserError
from herding.orchestrator import Orchestrator
from herding.prompts.parameters import check_parameters
from herding.prompts.variables import find_errors_async
from herding.ui.compare import results
from herding.ui.compare.blind import shuffled
from herding.ui.compare.choices import Board
from herding.ui.compare.columns import PAST, Column
from herding.ui.compare.draft import OwnDrafts
from herding.ui.compare.merge_streams import PageEvents, merge_streams
from herding.ui.compare.preference import Candidate, preference_bar
from herding.ui.compare.summary import fact_of, read_facts, summary
from herding.ui.engineer.errors import sentence
from herding.ui.engineer.form_data import is_required
from herding.ui.kit.format import plural
from herding.ui.kit.responses import response
from herding.ui.kit.responses.stream import recorded_outcome, response_events, stop_requests
from herding.ui.kit.views import Call, fragment
from herding.values import Outcome, Principal, Request


class RunRoutes:
    """The routes of a run; the tab inherits them."""

    _orchestrator: Orchestrator
    _drafts: OwnDrafts

    async def _board(self, call: Call) -> Board:
        raise NotImplementedError

    @fragment("POST", "/run", RUN)
    async def run(self, call: Call) -> AsyncIterator[tuple[str, Any]]:
        """Run every column and yield the events of all of them; leaving ends the requests.

        Those of a column are named `<letter>.<name>`; `errors` are those of the inputs, with which nothing runs,
        and `finished` has what the page shows around the responses.
        """
        who = call.principal
        try:
            board = await self._board(call)
            errors = await _input_errors(board)
            if not board.columns:
                raise UserError("Add a column first.")
        except HerdingError as error:
            yield "failed", error.message
            return
        if errors:
            yield "errors", errors
            return
        hidden = is_blind(call)
        columns = shuffled(board.columns) if hidden else list(board.columns)
        ended: dict[str, Outcome] = {}
        streams = {column.letter: self._column(column, board, who, ended, hidden=hidden) for column in columns}
        held: dict[str, Any] = {}
        if hidden:
            for letter in streams:
                yield f"{letter}.status", results.waiting()
        async with contextlib.aclosing(merge_streams(streams)) as events:
            async for name, data in events:
                letter, _, kind = name.partition(".")
                if not hidden or kind == "started":
                    yield name, data
                    continue
                if kind in ("status", "done"):  # shown together at the end: the order of arrival would tell the models
                    held[name] = data
                yield f"{letter}.beat", None
        for name, data in held.items():
            yield name, data
        yield "finished", _finished(call, columns, ended, hidden=hidden)

    async def _column(
        self, column: Column, board: Board, who: Principal, ended: dict[str, Outcome], *, hidden: bool
    ) -> PageEvents:
        """Yield the events of one column; its outcome is added to `ended`."""
        letter = column.letter

        async def finish(outcome: Outcome | None, error: HerdingError | None, text: str) -> Markup:
            outcome = outcome or await recorded_outcome(error, who, self._orchestrator)
            if outcome is None:
                return results.failure(error, text)
            ended[letter] = outcome
            return results.result(letter, outcome, who, hidden=hidden)

        try:
            request = await self._request(column, board.values, who)
        except HerdingError as error:
            yield "status", response.not_sent_status(error.type)
            yield "done", results.failure(error, "")
            return
        stream = self._orchestrator.pipeline.stream(request, who)
        async with contextlib.aclosing(response_events(stream, finish)) as events:
            async for name, data in events:
                if name == "done":
                    known = ended.get(letter)
                    yield "status", results.status(known, hidden=hidden) if known else response.not_sent_status("")
                yield name, data

    async def _request(self, column: Column, values: Mapping[str, Any], who: Principal) -> Request:
        """Return the request of a column, with the inputs that its prompt declares."""
        config = column.config
        check_parameters(config.overrides)
        if config.is_draft:
            return await self._drafts.request(config, values, who)
        found = await self._orchestrator.prompts.find(config.reference, who)
        return config.request({name: value for name, value in values.items() if name in found.prompt.variables})

    @fragment("POST", "/stop", RUN)
    async def stop(self, call: Call) -> Markup:
        """Stop the running requests that the form names; the texts received so far stay."""
        await stop_requests(call.texts("request"), call.principal, self._orchestrator)
        return Markup()


def is_blind(call: Call) -> bool:
    """Return whether a run hides the names of its columns: a replay never does, nor a role that cannot rate."""
    return call.text("blind") == "on" and not call.text("request") and {RATE, HISTORY} <= call.principal.rights


async def _input_errors(board: Board) -> dict[str, str]:
    """Return the errors of the shared inputs by variable."""
    variables = board.variables
    values = {name: value for name, value in board.values.items() if name in variables}
    found = await find_errors_async(variables, values)
    missing = {
        name: f"Enter a value for {name}."
        for name, variable in variables.items()
        if values.get(name) in (None, "") and is_required(variable) and variable["type"] != "boolean"
    }  # fmt: skip
    return {name: sentence(message) for name, message in (missing | found).items()}


def _finished(call: Call, columns: list[Column], ended: Mapping[str, Outcome], *, hidden: bool) -> dict[str, Any]:
    """Return what the page shows around the responses of a finished run."""
    who = call.principal
    succeeded = sum(outcome.status == "succeeded" for outcome in ended.values())
    among = [Candidate(column.letter, ended[column.letter].request_id) for column in columns if column.letter in ended]
    if past := call.text("request"):
        among.insert(0, Candidate(PAST, past))
    ids = [ended[column.letter].request_id if column.letter in ended else "" for column in columns]
    facts = read_facts(call)
    if not hidden:
        facts += [fact_of(column, ended[column.letter]) for column in columns if column.letter in ended]
    return {
        "note": f"{succeeded} of {plural(len(columns), 'column')} succeeded.",
        "prefer": preference_bar(among, "", hidden=hidden) if RATE in who.rights else "",
        "summary": summary(facts),
        "address": {"runs": "~".join(ids) if HISTORY in who.rights else "", "hidden": "1" if hidden else ""},
    }
