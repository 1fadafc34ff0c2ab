"""The layout of the tab, and the pieces of it that change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from herding.access.operations import HISTORY, RATE
from herding.ui.compare import replay
from herding.ui.compare.choices import Board, Pickers
from herding.ui.compare.columns import LETTERS, PAST, Column
from herding.ui.compare.inputs import FORM, inputs_section
from herding.ui.compare.preference import Candidate, preference_bar
from herding.ui.compare.results import NO_RESPONSE, NOT_STORED, result, status
from herding.ui.compare.settings import changed_inputs, differences, settings_fields, settings_line
from herding.ui.kit import prompt_text
from herding.ui.kit.fields import button, checkbox, hidden_field, select_field
from herding.ui.kit.format import el, empty_state
from herding.values import Entry, Principal, PromptInfo

ENGINEER = "engineer"
NO_PROMPTS = empty_state("No prompts yet", "Create one in the Prompt engineer tab, or add a YAML file to the folder.")


@dataclass(frozen=True, slots=True)
class Shown:
    """A comparison as the page shows it.

    responses: recorded requests by the letters of their columns; `choice` is the stored preference between them.
    blind: the next run is in blind mode; hidden: the names of the responses are hidden now.
    """

    board: Board
    pickers: Mapping[str, Pickers]
    responses: Mapping[str, Entry] = field(default_factory=dict)
    among: Sequence[Candidate] = ()
    choice: str = ""
    blind: bool = False
    hidden: bool = False
    note: Markup | None = None


def page(shown: Shown, prompts: Sequence[PromptInfo], who: Principal) -> Markup:
    """Return the whole tab."""
    board = shown.board
    past = board.past
    hidden_fields = [
        hidden_field("prompt", board.prompt.key),
        hidden_field("hidden", "on" if shown.hidden else ""),
        hidden_field("request", past.outcome.request_id) if past else None,
    ]
    columns = [column_html(column, shown, who) for column in board.columns]
    if past is not None:
        columns.insert(0, past_column(past, board, who))
    bar = preference_bar(shown.among, shown.choice, hidden=shown.hidden) if RATE in who.rights else None
    return el(
        "div",
        el("form", *hidden_fields, id=FORM, autocomplete="off"),
        _bar(shown, prompts, who),
        shown.note,
        inputs_section(board.variables, board.values),
        el("div", input_note(board), id="compare-input-note", role="status"),
        el("div", *columns, id="compare-columns", cls="compare-columns"),
        el("div", bar, id="compare-prefer", cls="compare-prefer-box"),
        el("section", id="compare-diff", cls="compare-section", aria_label="Differences"),
        el("section", id="compare-summary", cls="compare-section", aria_label="Session summary"),
        id="compare",
        cls="compare",
        data_module="compare",
        data_hidden="" if shown.hidden else None,
    )


def _bar(shown: Shown, prompts: Sequence[PromptInfo], who: Principal) -> Markup:
    board = shown.board
    options = [(prompt_text.picker_option(prompt), prompt.key) for prompt in prompts]
    picker = select_field(
        "Prompt",
        "compare-prompt",
        options,
        board.prompt.key,
        hidden_label=True,
        id="compare-prompt",
        title=board.prompt.description or None,
    )
    blind = None
    if board.past is None and {RATE, HISTORY} <= who.rights:
        about = "Shuffle the columns, show all responses at once, hide names until you choose."
        box = checkbox("Blind", "blind", checked=shown.blind, id="compare-blind", form=FORM)
        blind = el("div", box, title=about)
    return el(
        "div",
        el("div", picker, cls="compare-pick"),
        button("Run all", kind="primary", id="compare-run", title="Ctrl+Enter"),
        button("Stop all", kind="danger", id="compare-stop", disabled="", data_then="compare-run"),
        button("Add column", id="compare-add", hx_post="ui/compare/add", hx_include=f"#{FORM}",
               hx_target="#compare-columns", hx_swap="beforeend",
               disabled="" if len(board.columns) >= len(LETTERS) else None),
        blind,
        el("div", id="compare-note", cls="muted", role="status"),
        cls="compare-bar",
        role="group",
        aria_label="Run",
    )  # fmt: skip


def column_html(column: Column, shown: Shown, who: Principal) -> Markup:
    """Return a column with its settings and its response."""
    letter, board = column.letter, shown.board
    entry = shown.responses.get(letter)
    box, state = NO_RESPONSE, Markup()
    if entry is not None:
        state = status(entry.outcome, hidden=shown.hidden)
        box = result(letter, entry.outcome, who, hidden=shown.hidden, stars=entry.stars)
    pieces = column_pieces(column, board, shown.pickers[letter])
    head = el("span", pieces[f"compare-{letter}-line"], id=f"compare-{letter}-line", cls="one-line compare-line")
    remove = button("×", kind="quiet", cls="compare-remove", id=f"compare-{letter}-remove", data_remove=letter,
                    aria_label=f"Remove column {column.label}", title="Remove column")  # fmt: skip
    settings = el(
        "details",
        el("summary", el("b", column.label, cls="compare-letter"), head),
        el("div", pieces[f"compare-{letter}-fields"], id=f"compare-{letter}-fields", cls="compare-fields"),
        cls="compare-settings",
    )
    concealed = el(
        "p", el("b", column.label, cls="compare-letter"), el("span", "Hidden until you choose", cls="muted"),
        cls="compare-concealed",
    )  # fmt: skip
    return el(
        "article",
        hidden_field("column", letter, form=FORM),
        el("header", settings, concealed, remove, cls="compare-head"),
        el("div", pieces[f"compare-{letter}-differs"], id=f"compare-{letter}-differs", cls="compare-differs"),
        el("div", state, id=f"compare-{letter}-status", cls="compare-status", role="status"),
        el("div", box, id=f"compare-{letter}-response", cls="compare-response"),
        _foot(column) if ENGINEER in who.tabs else None,
        id=f"compare-{letter}",
        cls="compare-column",
        data_letter=letter,
        aria_label=f"Column {column.label}",
    )


def _foot(column: Column) -> Markup:
    copy = button(
        f"Copy {column.label} to draft",
        kind="quiet",
        id=f"compare-{column.letter}-use",
        title="Open these settings and inputs in the Prompt engineer tab",
        hx_post=f"ui/compare/use/{column.letter}",
        hx_include=f"#{FORM}",
        hx_swap="none",
    )
    return el("div", copy, cls="compare-foot")


def past_column(entry: Entry, board: Board, who: Principal) -> Markup:
    """Return the fixed column with the response of the replayed request."""
    row = entry.outcome
    name = row.prompt if row.prompt != board.prompt.key else ""
    box = result(PAST, row, who, stars=entry.stars) if replay.has_content(row) else NOT_STORED
    return el(
        "article",
        el("header", replay.past_head(entry, name), cls="compare-head"),
        el("div", status(row), id="compare-past-status", cls="compare-status"),
        el("div", box, id="compare-past-response", cls="compare-response"),
        id="compare-past",
        cls="compare-column compare-past",
        data_letter=PAST,
        aria_label="Past response",
    )


def column_pieces(column: Column, board: Board, pickers: Pickers) -> dict[str, Markup]:
    """Return the parts of a column that follow its settings, by their ids."""
    prefix = f"compare-{column.letter}"
    return {**line_pieces(column, board), f"{prefix}-fields": settings_fields(column, pickers)}


def line_pieces(column: Column, board: Board) -> dict[str, Markup]:
    """Return the settings of a column in one line, and how they differ from the past request, by their ids."""
    prefix = f"compare-{column.letter}"
    line = settings_line(column, board)
    return {f"{prefix}-line": el("span", line, title=line), f"{prefix}-differs": differences(column, board)}


def input_note(board: Board) -> Markup | None:
    """Return which inputs differ from those of the past request."""
    changed = changed_inputs(board)
    if not changed:
        return None
    return el("p", f"The past response had another input: {', '.join(changed)} changed.", cls="compare-input-note")
