"""The status line above a response and its metrics below, as HTML."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from herding.ui.kit.bars import share_bar
from herding.ui.kit.format import checks_chip, chip, cost_text, duration, el, join, key_values, panel, status_chip
from herding.values import Considered, Delta, Done, Event, Outcome, Queued, Started

MIN_STREAM_MS = 10
"""A response that arrives within this time came in one piece and has no speed."""

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
    "store_error": "Database error",
    "internal_error": "Internal error",
}


_ENDED = {"length": "Truncated at max_tokens", "content_filter": "Stopped by the content filter"}
"""The reasons for the end of a response that a reader should know."""

_NO_TEXT = "No text"


def queued_status(event: Queued | None, ms: float) -> Markup:
    """Return the status of a request that no node has started; `ms` is its age."""
    return el("div", _pulse(), el("span", _queue_text(event)), _clock(ms), cls="status-line")


def _queue_text(event: Queued | None) -> str:
    if event is None:
        return "Waiting for the model"
    eta = f", about {max(1, round(event.seconds))} s" if event.seconds is not None else ""
    return f"Position {event.position} in queue{eta}: {event.reason}"


def running_status(event: Started, ms: float, *, streaming: bool) -> Markup:
    """Return the status of a request on a node; `streaming` once its first text has arrived."""
    action = "Streaming from" if streaming else "Waiting for first token from"
    text = el("span", f"{action} ", el("b", event.model), f" on {event.node}")
    return el("div", _pulse(), text, _clock(ms), cls="status-line")


def final_status(outcome: Outcome) -> Markup:
    """Return the status of a finished request."""
    time = el("span", duration(outcome.timings.total_ms), cls="muted")
    ended = _ENDED.get(outcome.finish_reason or "")
    chips = (chip(ended, "warn") if ended else None, chip(_NO_TEXT, "warn") if outcome.note else None)
    return el("div", status_chip(outcome.status), checks_chip(outcome.checks), *chips, time, cls="status-line")


def not_sent_status(error_type: str) -> Markup:
    """Return the status of a request that was refused before it was recorded."""
    reason = el("span", _ERRORS.get(error_type, ""), cls="muted")
    return el("div", chip("Not sent", "bad"), reason, cls="status-line")


def error_panel(error_type: str | None, message: str) -> Markup:
    """Return an error beside whatever text had arrived."""
    return panel("bad", _ERRORS.get(error_type or "", "Model error"), el("p", message), role="alert")


def metrics(outcome: Outcome) -> Markup:
    """Return the tokens and times of a request, and the reason of its routing."""
    usage, times = outcome.usage, outcome.timings
    count = "reported" if usage.source == "node" else "estimated"
    version = el("span", f"v{outcome.version}" if outcome.version else "–")
    edited = chip("Unsaved changes", "accent") if outcome.edited else None
    routing = f" Routed to {outcome.node} ({outcome.reason})." if outcome.node and outcome.reason else ""
    return join(
        (
            key_values(
                [
                    ("Input tokens", f"{usage.input_tokens:,}"),
                    ("Output tokens", f"{usage.output_tokens:,}"),
                    ("Reasoning tokens", f"{usage.reasoning_tokens:,}" if usage.reasoning_tokens else ""),
                    ("Cached tokens", f"{usage.cached_tokens:,}" if usage.cached_tokens else ""),
                    ("First token", duration(times.first_token_ms)),
                    ("Total", duration(times.total_ms)),
                    ("Speed", speed(outcome)),
                    ("Queued", duration(times.queued_ms) if times.queued_ms >= 100 else ""),
                    ("Version", join([version, " ", edited])),
                    ("Variant", outcome.variant),
                    ("Cost", cost_text(outcome.cost) if outcome.node and outcome.status != "running" else None),
                    ("Model", outcome.model),
                    ("Node", outcome.node),
                ],
                cls="facts metrics",
            ),
            el("p", f"Token count: {count}.{routing}", cls="muted why"),
            candidate_list(outcome),
        )
    )


def speed(outcome: Outcome) -> str:
    """Return the tokens per second after the first token, or an empty string for a response in one piece."""
    times, tokens = outcome.timings, outcome.usage.output_tokens
    if times.first_token_ms is None or tokens < 2 or times.total_ms - times.first_token_ms < MIN_STREAM_MS:
        return ""
    return f"{(tokens - 1) * 1000 / (times.total_ms - times.first_token_ms):,.0f} tokens/s"


def candidate_list(outcome: Outcome) -> Markup | None:
    """Return the models that were considered, collapsed; None if there was no choice or it is not recorded."""
    if len(outcome.candidates) < 2:
        return None
    models: dict[str, list[Considered]] = {}
    for candidate in outcome.candidates:
        models.setdefault(candidate.model, []).append(candidate)
    rows = [_candidate(model, nodes, selected=model == outcome.model) for model, nodes in models.items()]
    return el("details", el("summary", "Why this model"), el("ul", *rows, cls="plain"), cls="candidates")


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

    @property
    def request_id(self) -> str:
        """The id of the request, empty until it has one."""
        event = self.started or self.queued
        return event.request_id if event else ""

    @property
    def status(self) -> Markup:
        """The status line above the response."""
        ms = (time.monotonic() - self.started_at) * 1000
        if self.started is None:
            return queued_status(self.queued, ms)
        return running_status(self.started, ms, streaming=bool(self.text or self.reasoning))

    def update(self, events: Sequence[Event]) -> bool:
        """Add a batch of events; return True if the text or the reasoning grew."""
        before = len(self.text), len(self.reasoning)
        for event in events:
            match event:
                case Queued():
                    self.queued = event
                case Started():
                    self.started = event
                case Delta():
                    self.text += event.text
                    self.reasoning += event.reasoning
                case Done():
                    self.outcome = event.outcome
                    self.text = event.outcome.answer
        return (len(self.text), len(self.reasoning)) != before
