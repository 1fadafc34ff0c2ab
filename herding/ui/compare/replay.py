"""A past request beside new runs with the same input."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import Markup

from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.ui.compare.columns import ColumnConfig, list_parameters, parameter_text
from herding.ui.engineer.setting_fields import COMMON_PARAMETERS, changed_parameters
from herding.ui.kit.format import datetime_tag, el, key_values, panel
from herding.values import Entry, Outcome, Principal, PromptInfo


async def first_config(past: Outcome, live: PromptInfo, who: Principal, orchestrator: Orchestrator) -> ColumnConfig:
    """Return a column that differs from the past request in one setting, if something else is available.

    It runs the live version if the past request ran another one, else another model that responds, else the same.
    """
    same = await same_config(past, live, who, orchestrator)
    if same.version:
        return replace(same, version="", parameters=changed_parameters(past.parameters, live.parameters))
    other = next((model for model, nodes in live.served.items() if nodes and model != past.model), "")
    return replace(same, model=other) if other else same


async def same_config(past: Outcome, live: PromptInfo, who: Principal, orchestrator: Orchestrator) -> ColumnConfig:
    """Return the settings that repeat a request; the live version where its own is not visible to the role."""
    version, own = "", live.parameters
    if past.version not in (0, live.version):
        try:
            own = (await orchestrator.prompts.get(f"{live.key}@{past.version}", who)).parameters
            version = str(past.version)
        except NotFoundError:
            pass
    return ColumnConfig(live.key, version, past.model or "", changed_parameters(past.parameters, own))


def past_head(entry: Entry, name: str) -> Markup:
    """Return the settings of the past request: one line that unfolds; `name` is its prompt if it is another one."""
    row = entry.outcome
    parts = [name, version_of(row), row.model or "no model", list_parameters(own_parameters(row))]
    facts = key_values(
        [
            ("Run at", datetime_tag(row.created_at)),
            ("By", row.principal),
            ("Model", row.model),
            ("Node", row.node),
            ("Version", version_of(row)),
            *own_parameters(row).items(),
        ]
    )
    line = el("span", " · ".join(part for part in parts if part), cls="one-line compare-line")
    return el(
        "details", el("summary", el("b", "Past", cls="compare-letter"), line), el("div", facts), cls="compare-settings"
    )


def own_parameters(row: Outcome) -> dict[str, str]:
    """Return the parameters that a request ran with, as texts by name."""
    given = {name: value for name, value in row.parameters.given().items() if name in COMMON_PARAMETERS}
    return {name: parameter_text(name, value) for name, value in given.items()}


def version_of(row: Outcome) -> str:
    """Return the version that a request ran."""
    return f"{f'v{row.version}' if row.version else ''}{' (edited)' if row.edited else ''}".strip()


def replay_note(past: Outcome, config: ColumnConfig) -> Markup | None:
    """Return the notice for the replay of a request that ran an unsaved edit."""
    if not past.edited:
        return None
    number = config.version or (str(past.version) if past.version else "")
    text = (
        "The edited template is not stored with the request; History shows the exact input. "
        f"Column A runs the saved {f'version {number}' if number else 'prompt'} instead."
    )
    return panel("warn", "This request ran an unsaved edit", el("p", text), role="status")


def has_content(row: Outcome) -> bool:
    """Return whether the texts of a request are stored."""
    return bool(row.answer or row.input or row.variables or row.error)
