"""How the columns did in this session, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from markupsafe import Markup

from herding.ui.compare.state import CompareState, Ran, Setting
from herding.ui.kit.format import duration, el, empty_state, format_value, join, plural

NOTHING = empty_state("No runs yet", "Every run of this session counts here, by column and by what it ran.")
HEADS = ("Column", "Prompt", "Model", "Runs", "Mean time", "Mean tokens out", "Breaches")


def table(bench: CompareState) -> Markup:
    """A line for each column that ran, and for each thing that it ran; means are over the runs that succeeded."""
    lines = [
        _line(lane.letter, setting, [ran for ran in lane.runs if ran.setting == setting])
        for lane in bench.lanes
        for setting in dict.fromkeys(ran.setting for ran in lane.runs)
    ]
    if not lines:
        return NOTHING
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in HEADS)))
    caption = el("caption", "Runs of this session by column", cls="sr")
    return el("table", caption, head, el("tbody", *lines), cls="entries sums")


def _line(letter: str, setting: Setting, runs: Sequence[Ran]) -> Markup:
    good = [ran.outcome for ran in runs if ran.outcome.status == "succeeded"]
    judged = [outcome for outcome in good if outcome.checks.ok is not None]
    failures = sum(outcome.checks.ok is False for outcome in judged)
    less = len(runs) - len(good)
    cells = (
        el("b", letter),
        join([el("code", setting.reference), _own(setting)]),
        setting.model or "auto",
        f"{len(runs)}" + (f" ({less} not succeeded)" if less else ""),
        duration(fmean(outcome.timings.total_ms for outcome in good)) if good else "–",
        f"{fmean(outcome.usage.output_tokens for outcome in good):,.1f}" if good else "–",
        f"{failures} of {len(judged)}" if judged else "no checks" if good else "–",
    )
    named = zip(HEADS, cells, strict=True)
    return el("tr", *(el("td", el("span", cell), data_label=name) for name, cell in named))


def _own(setting: Setting) -> Markup | None:
    given = listed(setting.parameters)
    return el("span", f" {given}", cls="muted") if given else None


def listed(parameters: Mapping[str, Any]) -> str:
    """Parameters in one line."""
    shown = {
        name: ", ".join(map(repr, held)) if name == "stop" else format_value(held) for name, held in parameters.items()
    }
    return ", ".join(f"{name.replace('_', ' ')} {held}" for name, held in shown.items())


def told(bench: CompareState) -> str:
    """How many columns answered the last time, for whoever does not see them."""
    ended = [lane for lane in bench.opened if lane.outcome is not None]
    good = sum(lane.outcome.status == "succeeded" for lane in ended if lane.outcome)
    return f"{good} of {plural(len(bench.opened), 'column')} answered."
