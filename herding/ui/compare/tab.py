"""The tab "Compare": the same input for several prompts, versions, models or parameters, side by side.

The address has `prompt` (a key), `columns` (what they run, as JSON), `request` (an entry of the history that is
replayed), `old` and `new` (two versions of the prompt), `runs` (the requests whose responses are on the page), `blind`
and `hidden` (blind mode, and whether the names are hidden now). The inputs are in the user's draft of the prompt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from markupsafe import Markup
from starlette.responses import JSONResponse, Response

from herding.access.operations import HISTORY, PROMPTS, RATE, RUN
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.compare import replay, results
from herding.ui.compare.blind import assign
from herding.ui.compare.choices import Board, Choices, default_configs
from herding.ui.compare.columns import (
    LETTERS,
    PAST,
    Column,
    ColumnConfig,
    dump_columns,
    load_columns,
    next_letter,
    read_columns,
)
from herding.ui.compare.diff import diff_section, word_diff
from herding.ui.compare.draft import OwnDrafts
from herding.ui.compare.inputs import input_fields, input_line
from herding.ui.compare.layout import (
    NO_PROMPTS,
    Shown,
    column_html,
    column_pieces,
    input_note,
    line_pieces,
    page,
)
from herding.ui.compare.preference import Candidate, candidates, pair_of, preference_bar, save, saved_choice
from herding.ui.compare.run import RunRoutes
from herding.ui.compare.settings import model_note
from herding.ui.compare.summary import fact_of, read_facts, summary
from herding.ui.engineer.feedback import RATING_SAVED
from herding.ui.engineer.form import read_values
from herding.ui.engineer.models import try_load
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import parse_stars
from herding.ui.kit.format import el, join, panel
from herding.ui.kit.live import out_of_band
from herding.ui.kit.variables import given_values
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.values import Entry, Principal, PromptInfo


class CompareTab(RunRoutes, View):
    """The routes of the tab."""

    key = "compare"
    label = "Compare"
    rights = frozenset({RUN, PROMPTS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        super().__init__(orchestrator)
        self._choices = Choices(orchestrator)
        self._drafts = OwnDrafts(orchestrator)

    # Opening

    @fragment("GET", "", RUN)
    async def open(self, call: Call) -> Reply:
        """Return the whole tab for what the address names, else for the first prompt."""
        who, key = call.principal, call.text("prompt")
        prompts = await self._orchestrator.prompts.list_all(who)
        past, notes = await self._past(call)
        if past is not None:
            key = past.outcome.prompt
        live = next((prompt for prompt in prompts if prompt.key == key), None)
        if past is not None and live is None:
            past, missing = None, panel("warn", "This request has no prompt to run", el("p", "Select a prompt."))
            notes.append(missing)
        elif key and live is None:
            notes.append(prompt_text.not_opened(key))
        live = live or next(iter(prompts), None)
        if live is None:
            return Reply(NO_PROMPTS)
        configs = await self._configs(call, live, past)
        columns = [Column(letter, config) for letter, config in zip(LETTERS, configs, strict=False)]
        resolved = await self._choices.resolve(columns, live, who)
        if past is not None:
            notes.append(replay.replay_note(past.outcome, resolved[0].config if resolved else ColumnConfig()))
        typed = given_values(past.outcome, live) if past else await self._drafts.values(live.key, who)
        board = Board(live, resolved, dict(typed), past)
        address = {
            "prompt": live.key if key or past else "",
            "columns": dump_columns(resolved, live.key) if configs != default_configs(live) else "",
            "old": "",
            "new": "",
        }
        return Reply(page(await self._shown(call, board, join(notes)), prompts, who), address=address)

    async def _past(self, call: Call) -> tuple[Entry | None, list[Markup | None]]:
        """Return the request to replay, and why there is none although the address names one."""
        request_id = call.text("request")
        if not request_id:
            return None, []
        try:
            return await self._orchestrator.history.entry(request_id, call.principal), []
        except HerdingError as error:
            return None, [panel("warn", "Can't replay this request", el("p", error.message), role="status")]

    async def _configs(self, call: Call, live: PromptInfo, past: Entry | None) -> list[ColumnConfig]:
        if found := load_columns(call.text("columns"), live.key):
            return found
        if past is not None:
            return [await replay.first_config(past.outcome, live, call.principal, self._orchestrator)]
        if call.text("old") or call.text("new"):
            pair = (call.text("old"), call.text("new"))
            return [ColumnConfig(live.key, "" if name == str(live.version) else name) for name in pair]
        return default_configs(live)

    async def _shown(self, call: Call, board: Board, note: Markup) -> Shown:
        """Return a comparison with the responses that the address names."""
        who = call.principal
        responses = {}
        ids = call.text("runs").split("~") if HISTORY in who.rights else []
        for column, request_id in zip(board.columns, ids, strict=False):
            if request_id:
                try:
                    responses[column.letter] = await self._orchestrator.history.entry(request_id, who)
                except NotFoundError:
                    continue
        among = [Candidate(PAST, board.past.outcome.request_id)] if board.past else []
        among += [Candidate(letter, entry.outcome.request_id) for letter, entry in responses.items()]
        hidden = bool(responses) and call.text("hidden") == "1"
        choice = await saved_choice(self._orchestrator.feedback, among, who) if RATE in who.rights else ""
        pickers = await self._choices.pickers(board, who)
        return Shown(board, pickers, responses, among, choice, call.text("blind") == "1", hidden, note)

    async def _board(self, call: Call) -> Board:
        """Return the comparison of a form."""
        who = call.principal
        live = await self._orchestrator.prompts.get(call.text("prompt"), who)
        columns = await self._choices.resolve(read_columns(call), live, who)
        past = None
        if call.text("request"):
            past = await self._orchestrator.history.entry(call.text("request"), who)
        board = Board(live, columns, {}, past)
        return replace(board, values=read_values(call, board.form_prompt))

    # Editing

    @fragment("POST", "/edit", RUN)
    async def edit(self, call: Call) -> Response:
        """Return the pieces that follow a change of the field `changed`, and store typed inputs in the draft.

        It is JSON: `pieces` has HTML by element ids, `address` the fields of the address, `stored` the key of the
        prompt whose draft has changed.
        """
        who, changed = call.principal, call.text("changed")
        letter, _, name = changed.partition(".")
        notice = ""
        if name == "model" and letter in LETTERS:
            notice = await try_load(call.text(changed), who, self._orchestrator)
        board = await self._board(call)
        stored = ""
        if changed != "shown" and board.past is None:  # a change of another field may have overtaken typed inputs
            values = {name: value for name, value in board.values.items() if name in board.variables}
            page = call.text("page")
            if await self._drafts.store_values(board.prompt.key, board.variables, values, who, page=page):
                stored = board.prompt.key
        pieces: dict[str, Markup | None] = {"compare-input-line": el("span", input_line(board.variables, board.values))}
        pieces["compare-input-note"] = input_note(board)
        for column in board.columns:
            pieces |= line_pieces(column, board)
        if name in ("prompt", "version") or changed == "shown":
            pieces |= await self._pickers(board, letter, who)
        elif name == "model":
            pieces |= await self._model_notes(board, letter, who)
        if changed == "shown" and board.past is None and not who.opt_out:
            values = await self._drafts.values(board.prompt.key, who)
            pieces["compare-input-fields"] = input_fields(board.variables, values)
            pieces["compare-input-line"] = el("span", input_line(board.variables, values))
        if changed == "columns":
            pieces["compare-prefer"] = await self._preference(call, board.columns)
        address = {
            "prompt": board.prompt.key,
            "columns": dump_columns(board.columns, board.prompt.key),
            "blind": "1" if call.text("blind") == "on" else "",
        }
        shown = {key: str(html or "") for key, html in pieces.items()}
        told = {"pieces": shown, "address": address, "stored": stored, "notice": notice}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})

    async def _pickers(self, board: Board, letter: str, who: Principal) -> dict[str, Markup | None]:
        """Return the fields of the column with this letter, of all columns without one, and those of the inputs."""
        pickers = await self._choices.pickers(board, who)
        pieces: dict[str, Markup | None] = {}
        for column in board.columns:
            if letter in (column.letter, "shown"):
                pieces |= column_pieces(column, board, pickers[column.letter])
        pieces["compare-input-fields"] = input_fields(board.variables, board.values)
        return pieces

    async def _model_notes(self, board: Board, letter: str, who: Principal) -> dict[str, Markup | None]:
        pickers = await self._choices.pickers(board, who)
        found: dict[str, Markup | None] = {}
        for column in board.columns:
            if column.letter == letter:
                chosen = column.config.model
                known = next((choice for choice in pickers[letter].models if choice.id == chosen), None)
                found[f"compare-{letter}-model-note"] = model_note(known) if chosen else None
        return found

    @fragment("POST", "/add", RUN)
    async def add(self, call: Call) -> Reply:
        """Return another column, a copy of the last one."""
        who, board = call.principal, await self._board(call)
        letter = next_letter(board.columns)
        last = board.columns[-1] if board.columns else Column(letter, ColumnConfig(board.prompt.key), board.prompt)
        made = replace(last, letter=letter)
        board = replace(board, columns=[*board.columns, made])
        pickers = await self._choices.pickers(board, who)
        html = column_html(made, Shown(board, pickers), who)
        return Reply(html, address={"columns": dump_columns(board.columns, board.prompt.key)})

    @fragment("POST", "/use/{letter}", RUN)
    async def use(self, call: Call) -> Reply:
        """Copy a column and the inputs to the draft of its prompt, and open it in the Prompt engineer tab."""
        board = await self._board(call)
        column = next((column for column in board.columns if column.letter == call.path["letter"]), None)
        if column is None:
            raise NotFoundError("This column is no longer on this page.", param="column")
        await self._drafts.fill(column.config, board.values, call.principal)
        fields = {"prompt": column.config.prompt, "model": column.config.model}
        return Reply(Markup(), events={"open-tab": {"tab": "engineer", "fields": fields}})

    # Judging

    @fragment("POST", "/rate/{request_id}", RATE)
    async def rate(self, call: Call) -> Reply:
        """Save the stars of a response; 0 removes them. Once all responses have stars, hidden names are shown."""
        stars, who = parse_stars(call.whole("stars")), call.principal
        await self._orchestrator.feedback.rate(call.path["request_id"], stars, who)
        if call.text("hidden") != "on":
            return Reply(RATING_SAVED)
        entries = await self._entries(call)
        if any(entry.stars is None for entry in entries.values()):
            return Reply(RATING_SAVED)
        return await self._revealed(call, RATING_SAVED, with_bar=True)

    @fragment("POST", "/prefer", RATE)
    async def prefer(self, call: Call) -> Reply:
        """Save which response is better; hidden names are shown then."""
        who, columns, feedback = call.principal, read_columns(call), self._orchestrator.feedback
        found = candidates(call, columns)
        among = pair_of(call.text("pair"), found) if call.text("pair") else found
        await save(feedback, call.text("choice"), among, who)
        target = "compare-pair" if call.text("pair") else "compare-prefer"
        bar = preference_bar(among, await saved_choice(feedback, among, who), target=target)
        if call.text("hidden") == "on":
            return await self._revealed(call, bar, with_bar=bool(call.text("pair")))
        more = {"compare-prefer": await self._preference(call, columns)} if call.text("pair") else {}
        return Reply(join([bar, out_of_band(more)]))

    @fragment("POST", "/reveal", RATE)
    async def reveal(self, call: Call) -> Reply:
        """Show the hidden names."""
        return await self._revealed(call, Markup(), with_bar=True)

    async def _revealed(self, call: Call, html: Markup, *, with_bar: bool) -> Reply:
        """Return a reply that also shows which column each response came from: each gets its settings back."""
        who, board, entries = call.principal, await self._board(call), await self._entries(call)
        outcomes = {letter: entry.outcome for letter, entry in entries.items()}
        columns = assign(board.columns, outcomes)
        board = replace(board, columns=columns)
        pickers = await self._choices.pickers(board, who)
        pieces: dict[str, Markup | None] = {}
        for column in columns:
            pieces |= column_pieces(column, board, pickers[column.letter])
            if outcome := outcomes.get(column.letter):
                pieces[f"compare-{column.letter}-status"] = results.status(outcome)
                pieces[results.more_id(column.letter)] = results.more(outcome)
        facts = read_facts(call)
        facts += [fact_of(column, outcomes[column.letter]) for column in columns if column.letter in outcomes]
        pieces["compare-summary"] = summary(facts)
        if with_bar:
            pieces["compare-prefer"] = await self._preference(call, columns)
        address = {"hidden": "", "columns": dump_columns(columns, board.prompt.key)}
        return Reply(join([html, out_of_band(pieces)]), address=address, events={"compare-revealed": {}})

    async def _entries(self, call: Call) -> dict[str, Entry]:
        """Return the requests of the responses on the page by the letters of their columns."""
        found = {}
        for one in candidates(call, read_columns(call)):
            found[one.letter] = await self._orchestrator.history.entry(one.request_id, call.principal)
        return found

    async def _preference(self, call: Call, columns: Sequence[Column]) -> Markup | None:
        if RATE not in call.principal.rights:
            return None
        among = candidates(call, columns)
        return preference_bar(among, await saved_choice(self._orchestrator.feedback, among, call.principal))

    @fragment("POST", "/diff", RUN)
    async def diff(self, call: Call) -> Markup:
        """Return the differences of two responses, whose texts the page sends: not all users' texts are stored."""
        letters = [letter for letter in call.texts("letter") if letter in (*LETTERS, PAST)]
        texts: Mapping[str, str] = {letter: call.text(f"text.{letter}") for letter in letters}
        if len(letters) < 2:
            return Markup()
        left = call.text("left") if call.text("left") in letters else letters[0]
        others = [letter for letter in letters if letter != left]
        right = call.text("right") if call.text("right") in letters else others[0]
        diff = await asyncio.to_thread(word_diff, texts[left], texts[right])
        return diff_section(letters, left, right, diff, await self._pair(call, left, right))

    async def _pair(self, call: Call, left: str, right: str) -> Markup:
        """Return the preference between two of more than two responses."""
        found = candidates(call, read_columns(call))
        pair = [one for letter in (left, right) for one in found if one.letter == letter]
        if len(found) < 3 or len(pair) != 2 or left == right or RATE not in call.principal.rights:
            return Markup()
        choice = await saved_choice(self._orchestrator.feedback, pair, call.principal)
        return preference_bar(pair, choice, target="compare-pair")
