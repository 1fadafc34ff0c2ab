"""How a request went, as HTML: the line above an answer and the figures below it."""

from __future__ import annotations

from herding.ui.kit import candidates
from herding.ui.kit.format import Html, checks_chip, chip, duration, el, facts, join, panel, status_chip
from herding.values import Outcome, Queued, Started

ONE_PIECE_MS = 10

_ERRORS = {
    "invalid_variable": "Please check the variables",
    "invalid_request": "This request does not work",
    "not_found": "Not found",
    "context_length": "Too long for the model",
    "forbidden": "Not allowed",
    "limit_reached": "Limit reached",
    "no_node": "No model is up for this",
    "no_turn": "No model became free in time",
    "queue_full": "Too many of your requests wait",
    "crowded": "Too many requests wait",
    "node_busy": "The model has too much to do",
    "store_error": "The database has trouble",
    "internal_error": "Something broke",
}


def waiting(event: Queued | None, ms: float) -> Html:
    """A request that no node has taken yet."""
    return el("div", _pulse(), el("span", _place(event)), _clock(ms), cls="status-line")


def _place(event: Queued | None) -> str:
    if event is None:
        return "Waiting for the model"
    soon = f", about {max(1, round(event.seconds))} s" if event.seconds is not None else ""
    return f"Place {event.position} in the queue{soon}: {event.reason}"


def answering(event: Started, ms: float, *, begun: bool) -> Html:
    """A request that a node works on."""
    what = "answers" if begun else "reads the prompt"
    place = el("span", el("b", event.model), f" on {event.node} {what}")
    return el("div", _pulse(), place, _clock(ms), cls="status-line")


def ended(outcome: Outcome) -> Html:
    """A request that is over."""
    time = el("span", duration(outcome.timings.total_ms), cls="muted")
    cut = chip("cut at max tokens", "warn") if outcome.finish_reason == "length" else None
    parts = [status_chip(outcome.status), checks_chip(outcome.checks), cut, time]
    return el("div", *parts, cls="status-line")


def refused(kind: str) -> Html:
    """A request that did not get as far as a row."""
    return el("div", chip("Not run", "bad"), el("span", _ERRORS.get(kind, ""), cls="muted"), cls="status-line")


def problem(kind: str | None, message: str) -> Html:
    """What went wrong, beside whatever text had arrived."""
    return panel("bad", _ERRORS.get(kind or "", "The model failed"), el("p", message), role="alert")


def figures(outcome: Outcome) -> Html:
    """Tokens, times, and who answered why."""
    usage, times = outcome.usage, outcome.timings
    exact = "counted by the node" if usage.source == "node" else "estimated from the text"
    version = el("span", f"v{outcome.version}" if outcome.version else "–")
    edited = chip("edited, not saved", "accent") if outcome.edited else None
    return join(
        (
            facts(
                [
                    ("Tokens in", f"{usage.input_tokens:,}"),
                    ("Tokens out", f"{usage.output_tokens:,}"),
                    ("First token", duration(times.first_token_ms)),
                    ("Total", duration(times.total_ms)),
                    ("Speed", speed(outcome)),
                    ("Waited", duration(times.queued_ms) if times.queued_ms >= 100 else ""),
                    ("Version", join([version, " ", edited])),
                    ("Variant", outcome.variant),
                    ("Model", outcome.model),
                    ("Node", outcome.node),
                ],
                cls="facts figures",
            ),
            el(
                "p", f"Tokens {exact}. ", f"Why this node: {outcome.reason}." if outcome.reason else "", cls="muted why"
            ),
            candidates.why(outcome),
        )
    )


def speed(outcome: Outcome) -> str:
    """Tokens a second from the first token on; nothing where the answer came in one piece."""
    times, tokens = outcome.timings, outcome.usage.output_tokens
    if times.first_token_ms is None or tokens < 2 or times.total_ms - times.first_token_ms < ONE_PIECE_MS:
        return ""
    return f"{(tokens - 1) * 1000 / (times.total_ms - times.first_token_ms):,.0f} tokens/s"


def _pulse() -> Html:
    return el("span", cls="pulse", aria_hidden="true")


def _clock(ms: float) -> Html:
    return el("span", duration(ms), cls="muted clock", aria_hidden="true")
