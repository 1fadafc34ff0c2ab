"""A response as people read it: its status, its text in several forms, its metrics and the reason of its routing.

`response_view` is all of it; the other functions are its parts.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from markupsafe import Markup

from herding.ui.kit.charts.bars import share_bar
from herding.ui.kit.charts.chart import short_model
from herding.ui.kit.fields import copy_button
from herding.ui.kit.format import (
    checks_chip,
    chip,
    cost_text,
    duration,
    el,
    failure,
    join,
    key_values,
    plural,
    status_chip,
)
from herding.ui.kit.responses.chain_steps import recorded_steps
from herding.ui.kit.responses.json_tree import json_tree, parse_json
from herding.ui.kit.responses.markdown import MAX_CHARS, render_markdown
from herding.ui.kit.responses.message_parts import response_parts
from herding.ui.kit.responses.references import reference_cards
from herding.values import Considered, Delta, Done, Event, FilterResult, Outcome, Queued, Started, StepChanged

MIN_STREAM_MS = 10
"""A response that arrives within this time came in one piece and has no speed."""

MAX_SHOWN = 400_000
"""The characters of a text that are shown; the rest can be copied from the API or the export."""

Mode = Literal["rendered", "raw", "json"]
"""The forms of a text: Markdown as HTML, as it was written, and JSON as a tree."""

_MODES: dict[Mode, str] = {"rendered": "Rendered", "raw": "Raw", "json": "JSON"}

_ERRORS = {
    "invalid_variable": "Check the variables",
    "invalid_request": "Can't run this prompt",
    "not_found": "Not found",
    "context_length": "Input too long for the model",
    "forbidden": "Not allowed",
    "limit_reached": "Limit reached",
    "no_node": "No model available",
    "no_turn": "Timed out in the queue",
    "queue_full": "Too many requests of yours are queued",
    "crowded": "Too many requests are queued",
    "node_busy": "Model overloaded",
    "plugin_failed": "Plugin error",
    "store_error": "Database error",
    "shutting_down": "Herding was stopped",
    "internal_error": "Internal error",
}


_ENDED = {"length": "Truncated at max_tokens", "content_filter": "Stopped by the content filter"}
"""The reasons for the end of a response that a reader should know."""

_NO_TEXT = "No text"


def response_view(outcome: Outcome, *, status: bool = True, compact: bool = False, steps: bool = True) -> Markup:
    """Return a whole response: its status, what came before its text, the text, its error, and its metrics.

    compact: the reason of the routing is among the folded details; steps: with the steps of a chain.
    """
    routing = routing_note(outcome)
    folded = details(outcome, routing if compact else None)
    return el(
        "div",
        final_status(outcome) if status else None,
        recorded_steps(outcome.steps) if steps and outcome.steps else None,
        response_parts(outcome),
        response_text(outcome.answer) if outcome.answer else None,
        reference_cards(outcome.references),
        error_panel(outcome.error_type, outcome.error) if outcome.error else None,
        metrics_line(outcome),
        None if compact else routing,
        folded,
        cls="response",
    )


def response_text(text: str) -> Markup:
    """Return a text in all its forms, and the switch between them, which remembers what the user chose.

    JSON is a tree at first, all else is rendered.
    """
    tree = json_tree(parsed) if (parsed := parse_json(text)) is not None else None
    panes: dict[Mode, Markup] = {}
    if len(text) <= MAX_CHARS:
        bare_json = tree is not None and not text.lstrip().startswith("`")
        panes["rendered"] = render_text(f"```json\n{text}\n```" if bare_json else text, "rendered")
    panes["raw"] = render_text(text, "raw")
    if tree is not None:
        panes["json"] = tree
    kind: str = "json" if tree is not None else "text" if "rendered" in panes else "plain"
    name, first = f"form-{secrets.token_hex(4)}", {"json": "json", "text": "rendered", "plain": "raw"}[kind]
    radios = (_mode_radio(name, mode, checked=mode == first) for mode in panes)
    switch = el("fieldset", el("legend", "Show response as", cls="sr"), *radios, cls="segments")
    copy = copy_button("Copy response")
    return el(
        "div",
        *(el("div", pane, cls="pane", data_pane=mode) for mode, pane in panes.items()),
        el("div", switch if len(panes) > 1 else None, copy, cls="response-tools"),
        cls="response-body",
        data_kind=kind,
        data_module="response",
    )


def _mode_radio(name: str, mode: Mode, *, checked: bool) -> Markup:
    radio = el("input", type="radio", name=name, value=mode, data_mode="", checked="" if checked else None)
    return el("label", radio, el("span", _MODES[mode]))


def render_text(text: str | Outcome, mode: Mode = "rendered") -> Markup:
    """Return a text, or that of a response, in one form. What is no JSON, or too large a tree, is rendered."""
    written = text.answer if isinstance(text, Outcome) else text
    if mode == "json" and (parsed := parse_json(written)) is not None and (tree := json_tree(parsed)) is not None:
        return tree
    if mode == "raw" or len(written) > MAX_CHARS:
        left = len(written) - MAX_SHOWN
        cut = f"{plural(left, 'more character')}. Get the whole text by the API or an export." if left > 0 else ""
        text_shown = el("pre", written[:MAX_SHOWN], cls="raw", tabindex="0", role="region", aria_label="Response text")
        return join([text_shown, el("p", cut, cls="muted") if cut else None])
    return el("div", render_markdown(written), cls="markdown")


def metrics_line(outcome: Outcome) -> Markup:
    """Return the model, tokens, times, speed and cost in one line."""
    usage, times = outcome.usage, outcome.timings
    about = "" if usage.source == "node" else "≈ "
    facts: list[tuple[str, str | None]] = [
        (short_model(outcome.model or ""), outcome.model),
        (f"{about}{usage.input_tokens:,} → {usage.output_tokens:,} tokens", "Input and output tokens"),
        (duration(times.total_ms), "Total time"),
        (f"first token {duration(times.first_token_ms)}" if times.first_token_ms is not None else "", None),
        (speed(outcome), "Output tokens per second after the first one"),
        (cost_text(outcome.cost) if outcome.cost is not None else "", "Cost"),
    ]
    return el("p", *(el("span", text, title=title) for text, title in facts if text), cls="metrics-line")


def routing_note(outcome: Outcome) -> Markup:
    """Return the reason of the routing in one sentence, with the shares of the models behind it, folded."""
    if not outcome.node:
        return Markup()
    reason = f"Routed to {outcome.node} ({outcome.reason})." if outcome.reason else f"Answered by {outcome.node}."
    shares = candidate_list(outcome)
    return el("details", el("summary", reason), shares, cls="why") if shares else el("p", reason, cls="muted why")


def details(outcome: Outcome, more: Markup | None = None) -> Markup:
    """Return all further facts of a request, folded."""
    return el("details", el("summary", "Details"), facts(outcome), more, cls="more")


def queued_status(event: Queued | None, ms: float) -> Markup:
    """Return the status of a request that no node has started; `ms` is its age."""
    return el("div", _pulse(), el("span", _queue_text(event)), _clock(ms), cls="status-line")


def _queue_text(event: Queued | None) -> str:
    if event is None:
        return "Waiting for the model"
    eta = f", about {max(1, round(event.seconds))} s" if event.seconds is not None else ""
    return f"Position {event.position} in queue{eta}: {event.reason}"


def step_status(running: Sequence[StepChanged], ms: float) -> Markup:
    """Return the status of a chain whose response has not begun."""
    names = ", ".join(dict.fromkeys(step.name for step in running))
    return el("div", _pulse(), el("span", "Running ", el("b", names)), _clock(ms), cls="status-line")


def running_status(event: Started, ms: float, *, streaming: bool, first_token_ms: float | None = None) -> Markup:
    """Return the status of a request on a node; `streaming` once its first text has arrived."""
    action = "Streaming from" if streaming else "Waiting for first token from"
    first = f" · first token {duration(first_token_ms)}" if first_token_ms is not None else ""
    more = el("span", f" on {event.node}{first}", cls="status-more")  # left out where there is little room
    text = el("span", f"{action} ", el("b", event.model), more)
    return el("div", _pulse(), text, _clock(ms), cls="status-line")


def final_status(outcome: Outcome, *, time: bool = True) -> Markup:
    """Return the status of a finished request, with its total time unless that is shown beside it."""
    total = el("span", duration(outcome.timings.total_ms), cls="muted") if time else None
    ended = _ENDED.get(outcome.finish_reason or "")
    chips = [chip(ended, "warn") if ended else None, chip(_NO_TEXT, "warn") if outcome.note else None]
    chips += [chip(f"Changed by {found.name}", "accent") for found in outcome.filters if found.action == "changed"]
    return el("div", status_chip(outcome.status), checks_chip(outcome.checks), *chips, total, cls="status-line")


def not_sent_status(error_type: str) -> Markup:
    """Return the status of a request that was refused before it was recorded."""
    reason = el("span", _ERRORS.get(error_type, ""), cls="muted")
    return el("div", chip("Not sent", "bad"), reason, cls="status-line")


def error_panel(error_type: str | None, message: str) -> Markup:
    """Return an error beside whatever text had arrived."""
    return failure(_ERRORS.get(error_type or "", "Model error"), message)


def facts(outcome: Outcome) -> Markup:
    """Return the tokens, times, cost, version and model of a request."""
    usage, times = outcome.usage, outcome.timings
    count = "reported" if usage.source == "node" else "estimated"
    version = el("span", f"v{outcome.version}" if outcome.version else "–")
    edited = chip("Unsaved changes", "accent") if outcome.edited else None
    return key_values(
        [
            ("Model", outcome.model),
            ("Node", outcome.node),
            ("Version", join([version, " ", edited])),
            ("Variant", outcome.variant),
            ("Input tokens", f"{usage.input_tokens:,}"),
            ("Output tokens", f"{usage.output_tokens:,}"),
            ("Reasoning tokens", f"{usage.reasoning_tokens:,}" if usage.reasoning_tokens else ""),
            ("Cached tokens", f"{usage.cached_tokens:,}" if usage.cached_tokens else ""),
            ("Token count", count),
            ("First token", duration(times.first_token_ms)),
            ("Total", duration(times.total_ms)),
            ("Speed", speed(outcome)),
            ("Response filters", "; ".join(map(_filter_text, outcome.filters))),
            ("Queued", duration(times.queued_ms) if times.queued_ms >= 100 else ""),
            ("Cost", cost_text(outcome.cost) if outcome.node and outcome.status != "running" else None),
            ("Request ID", el("code", outcome.request_id)),
        ],
        cls="facts metrics",
    )


def _filter_text(result: FilterResult) -> str:
    """Return what a response filter did, in words."""
    words = f"{result.action} ({result.before:,} to {result.after:,} characters)"
    words = words if result.action == "changed" else result.action
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.name} of {result.plugin}: {words}{reason}"


def speed(outcome: Outcome) -> str:
    """Return the tokens per second after the first token, or an empty string for a response in one piece."""
    times, tokens = outcome.timings, outcome.usage.output_tokens
    if times.first_token_ms is None or tokens < 2 or times.total_ms - times.first_token_ms < MIN_STREAM_MS:
        return ""
    return f"{(tokens - 1) * 1000 / (times.total_ms - times.first_token_ms):,.0f} tokens/s"


def candidate_list(outcome: Outcome) -> Markup | None:
    """Return the models that were considered, with their shares as bars; None if there was no choice."""
    if len(outcome.candidates) < 2:
        return None
    models: dict[str, list[Considered]] = {}
    for candidate in outcome.candidates:
        models.setdefault(candidate.model, []).append(candidate)
    rows = [_candidate(model, nodes, selected=model == outcome.model) for model, nodes in models.items()]
    return el("ul", *rows, cls="plain")


def _candidate(model: str, nodes: list[Considered], *, selected: bool) -> Markup:
    share = nodes[0].share
    odds = share_bar(share) if share is not None else el("span", "not eligible", cls="muted")
    head = el(
        "div", el("b", model, cls="model"), odds, chip("selected", "good") if selected else None, cls="outlook-head"
    )
    notes = (": ".join(part for part in (node.node and f"on {node.node}", node.excluded) if part) for node in nodes)
    return el("li", head, el("p", "; ".join(notes), cls="muted"))


def _pulse() -> Markup:
    return el("span", cls="pulse", aria_hidden="true")


def _clock(ms: float) -> Markup:
    return el("span", duration(ms), cls="muted clock", aria_hidden="true")


@dataclass
class RunProgress:
    """The state of a running request, from the events received so far."""

    started_at: float = field(default_factory=time.monotonic)
    queued: Queued | None = None
    started: Started | None = None
    outcome: Outcome | None = None
    text: str = ""
    reasoning: str = ""
    first_token_ms: float | None = None
    steps: dict[tuple[str, int | None], StepChanged] = field(default_factory=dict)

    @property
    def stage(self) -> object:
        """The state that the status line shows; equal while only the time changes."""
        running = tuple(key for key, step in self.steps.items() if step.state == "running")
        return self.queued, self.started, self.first_token_ms, running

    @property
    def request_id(self) -> str:
        """The id of the request, empty until it has one."""
        event = self.started or self.queued or next(iter(self.steps.values()), None)
        return event.request_id if event else ""

    @property
    def status(self) -> Markup:
        """The status line above the response."""
        ms = (time.monotonic() - self.started_at) * 1000
        if self.started is None and (running := [step for step in self.steps.values() if step.state == "running"]):
            return step_status(running, ms)
        if self.started is None:
            return queued_status(self.queued, ms)
        streaming = self.first_token_ms is not None
        return running_status(self.started, ms, streaming=streaming, first_token_ms=self.first_token_ms)

    def update(self, events: Sequence[Event]) -> bool:
        """Add a batch of events; return True if the text or the reasoning grew."""
        before = len(self.text), len(self.reasoning)
        texts, thoughts = [self.text], [self.reasoning]
        for event in events:
            match event:
                case Queued():
                    self.queued = event
                case Started():
                    self.started = event
                case StepChanged():
                    self.queued = None  # it was that of a step
                    self.steps[event.name, event.position] = event
                case Delta():
                    texts.append(event.text)
                    thoughts.append(event.reasoning)
                    if self.first_token_ms is None and (event.text or event.reasoning):
                        self.first_token_ms = (time.monotonic() - self.started_at) * 1000
                case Done():
                    self.outcome = event.outcome
        # Once a batch: adding each piece would copy a long text as often.
        self.text, self.reasoning = "".join(texts), "".join(thoughts)
        if self.outcome is not None:
            self.text = self.outcome.answer
        return (len(self.text), len(self.reasoning)) != before
