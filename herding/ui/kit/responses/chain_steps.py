"""The steps of a chain as people read them: their states while it runs, and what became of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markupsafe import Markup

from herding.ui.kit.format import chip, el, truncate
from herding.ui.kit.links import tab_address
from herding.values import StepChanged, StepRun, StepState

MAX_SHOWN = 5_000
"""Characters of a step's response that are shown; its request has all."""

_TONES: dict[StepState, str] = {
    "waiting": "calm",
    "running": "busy",
    "succeeded": "good",
    "failed": "bad",
    "skipped": "calm",
    "stopped": "warn",
}
_NAMES: dict[StepState, str] = {"succeeded": "done", "waiting": "not run"}


def live_steps(changes: Iterable[StepChanged]) -> Markup:
    """Return the steps of a running chain, the latest change of each, with their responses folded.

    A repeated step is shown by its items.
    """
    latest = list(changes)
    repeated = {change.name for change in latest if change.position is not None}
    shown = [change for change in latest if change.position is not None or change.name not in repeated]
    return _list([_live_step(change) for change in shown])


def recorded_steps(steps: Sequence[StepRun]) -> Markup:
    """Return the steps of a chain that ended, with links to their requests."""
    return _list([_recorded_step(step) for step in steps])


def state_name(state: StepState) -> str:
    """Return the state of a step of a chain that ended."""
    return _NAMES.get(state, state)


def _list(items: Sequence[Markup]) -> Markup:
    return el("ol", *items, cls="plain chain-steps", aria_label="Steps")


def _live_step(change: StepChanged) -> Markup:
    name = change.name if change.position is None else f"{change.name} {change.position}"
    head = _head(name, change.prompt, change.state)
    error = el("p", change.error, cls="wrong") if change.error else None
    if not change.text:
        return el("li", el("div", *head), error, data_step=name)
    cut = truncate(change.text, MAX_SHOWN)
    content = el("pre", cut, cls="raw", tabindex="0"), _link(change.step_id, "Open request")
    return el("li", el("details", el("summary", *head), *content), error, data_step=name)


def _recorded_step(step: StepRun) -> Markup:
    one = len(step.request_ids) == 1
    links = [
        _link(request_id, "Open request" if one else f"Item {number}")
        for number, request_id in enumerate(step.request_ids, start=1)
    ]
    error = el("p", step.error, cls="wrong") if step.error else None
    return el("li", el("div", *_head(step.name, step.prompt, step.state), *links), error, data_step=step.name)


def _head(name: str, prompt: str, state: StepState) -> list[object]:
    pulse = el("span", cls="pulse", aria_hidden="true") if state == "running" else None
    return [
        chip(state_name(state), _TONES[state]),
        " ",
        el("b", name),
        " ",
        el("span", prompt, cls="muted"),
        pulse,
    ]


def _link(request_id: str, text: str) -> Markup | None:
    if not request_id:
        return None
    return el("a", text, href=tab_address("history", request=request_id), cls="chain-link")
