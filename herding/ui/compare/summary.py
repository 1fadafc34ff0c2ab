"""The runs of this session by column, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from markupsafe import Markup

from herding.ui.compare.state import ColumnConfig, ColumnRun, CompareState
from herding.ui.kit.format import duration, el, empty_state, format_value, join, plural

EMPTY = empty_state("No runs yet", "The runs of this session are summarized here.")
HEADS = ("Column", "Prompt", "Model", "Runs", "Mean time", "Mean output tokens", "Check failures")


def table(state: CompareState) -> Markup:
    """Return a row for each column and configuration; means cover the runs that succeeded."""
    rows = [
        _row(column.letter, config, [run for run in column.runs if run.config == config])
        for column in state.columns
        for config in dict.fromkeys(run.config for run in column.runs)
    ]
    if not rows:
        return EMPTY
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in HEADS)))
    caption = el("caption", "Runs of this session by column", cls="sr")
    return el("table", caption, head, el("tbody", *rows), cls="entries sums")


def _row(letter: str, config: ColumnConfig, runs: Sequence[ColumnRun]) -> Markup:
    succeeded = [run.outcome for run in runs if run.outcome.status == "succeeded"]
    checked = [outcome for outcome in succeeded if outcome.checks.ok is not None]
    failures = sum(outcome.checks.ok is False for outcome in checked)
    others = len(runs) - len(succeeded)
    parameters = list_parameters(config.parameters)
    cells = (
        el("b", letter),
        join([el("code", config.reference), el("span", f" {parameters}", cls="muted") if parameters else None]),
        config.model or "auto",
        f"{len(runs)}" + (f" ({others} unsuccessful)" if others else ""),
        duration(fmean(outcome.timings.total_ms for outcome in succeeded)) if succeeded else "–",
        f"{fmean(outcome.usage.output_tokens for outcome in succeeded):,.1f}" if succeeded else "–",
        f"{failures} of {len(checked)}" if checked else "no checks" if succeeded else "–",
    )
    pairs = zip(HEADS, cells, strict=True)
    return el("tr", *(el("td", el("span", cell), data_label=name) for name, cell in pairs))


def list_parameters(parameters: Mapping[str, Any]) -> str:
    """Return parameters on one line, such as `top p 0.3, seed 5`."""
    texts = {
        name: ", ".join(map(repr, held)) if name == "stop" else format_value(held) for name, held in parameters.items()
    }
    return ", ".join(f"{name.replace('_', ' ')} {held}" for name, held in texts.items())


def last_run(state: CompareState) -> str:
    """Return how many columns succeeded in the last run."""
    succeeded = sum(column.outcome.status == "succeeded" for column in state.open_columns if column.outcome)
    return f"{succeeded} of {plural(len(state.open_columns), 'column')} succeeded."
