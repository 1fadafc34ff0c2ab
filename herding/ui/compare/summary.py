"""The runs on this page by column, as a table. The form holds what it is made from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from markupsafe import Markup

from herding.ui.compare.columns import Column, list_parameters
from herding.ui.compare.inputs import FORM
from herding.ui.kit.fields import hidden_field
from herding.ui.kit.format import duration, el, join
from herding.ui.kit.tables import head_row
from herding.ui.kit.views import Call
from herding.values import Outcome

MAX_FACTS = 300
HEADS = ("Column", "Prompt", "Model", "Runs", "Mean time", "Mean output tokens", "Check failures")


@dataclass(frozen=True, slots=True)
class RunFact:
    """A finished run: what ran, and how it went. `ok` is the result of the checks, None without any."""

    column: str
    prompt: str
    parameters: str
    model: str
    status: str
    ms: float
    tokens: int
    ok: bool | None

    @property
    def settings(self) -> tuple[str, str, str, str]:
        """The settings of the run."""
        return self.column, self.prompt, self.parameters, self.model


def fact_of(column: Column, outcome: Outcome) -> RunFact:
    """Return the fact of a finished run of a column."""
    return RunFact(
        column=column.label,
        prompt=column.config.reference,
        parameters=list_parameters(column.config.parameters),
        model=column.config.model,
        status=outcome.status,
        ms=outcome.timings.total_ms,
        tokens=outcome.usage.output_tokens,
        ok=outcome.checks.ok,
    )


def read_facts(call: Call) -> list[RunFact]:
    """Return the facts of a form; what cannot be read is left out."""
    found = []
    for text in call.texts("fact")[-MAX_FACTS:]:
        try:
            fact = RunFact(**json.loads(text))
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(fact.ms, int | float) and isinstance(fact.tokens, int):
            found.append(fact)
    return found


def summary(facts: Sequence[RunFact]) -> Markup:
    """Return the table with the facts that it is made from; empty before the first run.

    There is a row for each column and its settings; means cover the runs that succeeded.
    """
    if not facts:
        return Markup()
    kept = [hidden_field("fact", json.dumps(asdict(fact)), form=FORM) for fact in facts]
    order = dict.fromkeys(fact.settings for fact in sorted(facts, key=lambda fact: fact.column))
    rows = [_row(settings, [fact for fact in facts if fact.settings == settings]) for settings in order]
    head = head_row(*HEADS)
    caption = el("caption", "Runs on this page by column", cls="sr")
    table = el("table", caption, head, el("tbody", *rows), cls="compare-table")
    return join([*kept, el("h2", "Session summary"), el("div", table, cls="compare-table-frame")])


def _row(settings: tuple[str, str, str, str], facts: Sequence[RunFact]) -> Markup:
    column, prompt, parameters, model = settings
    succeeded = [fact for fact in facts if fact.status == "succeeded"]
    checked = [fact for fact in succeeded if fact.ok is not None]
    failures = sum(fact.ok is False for fact in checked)
    others = len(facts) - len(succeeded)
    cells = (
        el("b", column),
        join([el("code", prompt), el("span", f" {parameters}", cls="muted") if parameters else None]),
        model or "Auto",
        f"{len(facts)}" + (f" ({others} unsuccessful)" if others else ""),
        duration(fmean(fact.ms for fact in succeeded)) if succeeded else "–",
        f"{fmean(fact.tokens for fact in succeeded):,.1f}" if succeeded else "–",
        f"{failures} of {len(checked)}" if checked else "no checks" if succeeded else "–",
    )
    return el("tr", *(el("td", cell, data_label=name) for name, cell in zip(HEADS, cells, strict=True)))
