"""Escaped HTML elements, and values as people read them."""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from herding.values import CheckResult, Entry, Outcome, Score, format_dollars

# A Gradio template would interpret `{{` and `${`; as entities they stay plain characters.
_ENTITIES = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})
_VOID = frozenset({"link", "meta", "img", "input"})

STATUS = {
    "running": ("Running", "busy"),
    "succeeded": ("Succeeded", "good"),
    "partial": ("Incomplete", "warn"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Stopped", "calm"),
    "abandoned": ("Disconnected", "calm"),
    "interrupted": ("Interrupted", "warn"),
}
KINDS = {"chat": "Chat", "completion": "Text completion", "embeddings": "Embeddings", "rerank": "Reranking"}
"""The names of requests without a prompt."""

STATE = {
    "ready": ("ready", "good"),
    "loading": ("loading", "busy"),
    "starting": ("starting", "busy"),
    "down": ("down", "bad"),
    "off": ("off", "calm"),
}


def escape(value: object) -> Markup:
    """Return `value` as text in HTML; Markup is not escaped again."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(str(value)).translate(_ENTITIES))  # noqa: S704 (escaped here)


def entities(html_text: str) -> Markup:
    """Return HTML, safe already, with the characters that a template would interpret as entities."""
    return Markup(html_text.translate(_ENTITIES))  # noqa: S704 (the caller's promise)


def el(tag: str, /, *children: object, cls: str = "", **attributes: str | None) -> Markup:
    """Return an element. Children and attribute values are escaped; those that are None are omitted."""
    given = {"class": cls or None} | {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    written = "".join(f' {key}="{escape(value)}"' for key, value in given.items() if value is not None)
    end = "" if tag in _VOID else f"</{tag}>"
    return Markup(f"<{tag}{written}>{join(children)}{end}")  # noqa: S704 (every part is escaped)


def join(parts: Iterable[object]) -> Markup:
    """Concatenate pieces, escaped; None is omitted."""
    return Markup().join(escape(part) for part in parts if part not in (None, ""))


def dotted(parts: Iterable[object]) -> Markup:
    """Return pieces with dots between them; those that are None or empty are omitted."""
    return Markup(" · ").join(escape(part) for part in parts if part not in (None, ""))


def chip(label: object, tone: str = "plain", *, title: str | None = None) -> Markup:
    """Return a small coloured badge. Tones: plain, calm, good, busy, warn, bad, accent."""
    return el("span", label, cls=f"chip {tone}", title=title)


def status_chip(status: str) -> Markup:
    """Return the status of a request as a badge."""
    return chip(*STATUS.get(status, (status, "plain")))


def state_chip(state: str) -> Markup:
    """Return the state of a node as a badge."""
    return chip(*STATE.get(state, (state, "plain")))


def checks_chip(verdict: CheckResult) -> Markup:
    """Return the result of the checks as a badge; empty if there are none."""
    if verdict.ok is None:
        return Markup()
    return chip("Checks passed", "good") if verdict.ok else chip(f"Check failed: {verdict.reason}", "warn")


def key_values(pairs: Iterable[tuple[str, object]], *, cls: str = "facts") -> Markup:
    """Return names with their values; pairs without a value are omitted."""
    shown = [el("div", el("dt", name), el("dd", value)) for name, value in pairs if value not in (None, "")]
    return el("dl", *shown, cls=cls)


def panel(tone: str, title: str, *body: object, role: str | None = None) -> Markup:
    """Return a message box; tones as for `chip`."""
    return el("div", el("strong", title), *body, cls=f"panel {tone}", role=role)


def failure(title: str, message: object) -> Markup:
    """Return an error: what did not work, and why."""
    return panel("bad", title, el("p", message), role="alert")


def success(message: object) -> Markup:
    """Return a confirmation."""
    return el("p", join(["✓ ", message]), cls="saved", role="status")


def empty_state(title: str, *body: object) -> Markup:
    """Return a placeholder for a part of the page without content."""
    return el("div", el("strong", title), *(el("p", part) for part in body), cls="empty")


def plural(count: int, word: str) -> str:
    """Return a count with its noun: `1 request`, `2 requests`."""
    return f"{count:,} {word if count == 1 else word + 's'}"


def duration(ms: float | None) -> str:
    """Return milliseconds as `45 ms`, `1.2 s`, `3 min 5 s`."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def utc_text(unix_ms: int) -> str:
    """Return a time as `21 Nov 2026, 00:40:36` (UTC)."""
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%-d %b %Y, %H:%M:%S}"


def datetime_tag(unix_ms: int) -> Markup:
    """Return a `<time>` element, which the page shows in the reader's time zone."""
    iso = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")
    return el("time", f"{utc_text(unix_ms)} UTC", datetime=iso)


def date_tag(unix_ms: int) -> Markup:
    """Return the date, with the time in its title."""
    found = datetime.fromtimestamp(unix_ms / 1000, UTC)
    title, iso = f"{utc_text(unix_ms)} UTC", found.isoformat(timespec="seconds")
    return el("time", f"{found:%-d %b %Y}", datetime=iso, title=title, data_form="day")


def time_tag(unix_ms: int) -> Markup:
    """Return the time of day; the page adds the date unless it is today."""
    found = datetime.fromtimestamp(unix_ms / 1000, UTC)
    iso = found.isoformat(timespec="seconds")
    return el("time", f"{found:%H:%M} UTC", datetime=iso, title=f"{utc_text(unix_ms)} UTC", data_form="clock")


def rough_duration(ms: float) -> str:
    """Return a long duration, rounded: `under a minute`, `5 min`, `3 h 20 min`, `12 days`."""
    minutes = round(ms / 60_000)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest and hours < 24 else f"{hours} h"
    return plural(round(minutes / 1440), "day")


def star_marks(count: int | None) -> Markup:
    """Return a rating, read-only."""
    if not count:
        return el("span", "not rated", cls="muted")
    shown = el("span", "★" * count, el("span", "★" * (5 - count), cls="unlit"), aria_hidden="true")
    return el("span", shown, el("span", f"{plural(count, 'star')}", cls="sr"), cls="lit")


def mean_rating(value: float | None, count: int) -> Markup:
    """Return a mean of stars with the number of ratings."""
    if value is None:
        return el("span", "no ratings yet", cls="muted")
    return el("span", el("span", "★ ", cls="lit", aria_hidden="true"), f"{value:.1f} ({plural(count, 'rating')})")


def rating_summary(entry: Entry) -> Markup:
    """Return the stars of all users: those of the only one, or their mean; and the number of comments."""
    written = sum(rating.comment is not None for rating in entry.ratings)
    comments = el("span", plural(written, "comment"), cls="muted") if written else None
    mean, rated = entry.mean_stars, entry.rated
    stars = _mean(mean, rated) if mean is not None and rated > 1 else star_marks(None if mean is None else round(mean))
    return join([el("div", stars), el("div", comments) if comments else None])


def _mean(value: float, count: int) -> Markup:
    """Return a mean of stars in few words."""
    star = el("span", "★ ", cls="lit", aria_hidden="true")
    return el(
        "span", star, f"{value:.1f} ", el("span", f"({count}", el("span", " ratings", cls="sr"), ")", cls="muted")
    )


def rating_list(entry: Entry, reader: str) -> Markup | None:
    """Return the stars and the comment of each user, oldest first; None without any."""
    rows = [_rating(rating, own=rating.principal == reader) for rating in entry.ratings]
    return el("ul", *rows, cls="plain ratings") if rows else None


def _rating(rating: Score, *, own: bool) -> Markup:
    who = join([el("b", rating.principal), " ", chip("you", "accent") if own else None])
    stars = star_marks(rating.stars) if rating.stars else None
    head = el("div", el("span", who), stars, datetime_tag(rating.updated_at), cls="rating-head")
    return el("li", head, el("p", rating.comment, cls="rating-text") if rating.comment else None)


def cost_text(nano: int | None) -> str:
    """Return a cost in nano-dollars as `$0.0012`, or `unknown`."""
    return "unknown" if nano is None else format_dollars(nano)


def request_name(outcome: Outcome) -> str:
    """Return the prompt of a request, or its kind if it has none."""
    return outcome.prompt or KINDS.get(outcome.kind, "Direct request")


def truncate(value: str, length: int) -> str:
    """Return at most `length` characters of a text, on one line."""
    line = " ".join(value[: length * 4].split())
    return line if len(line) <= length and len(value) <= length * 4 else f"{line[:length].rstrip()} …"


def format_value(given: Any) -> str:
    """Return a variable's value as text: `1200`, `900, 700`."""
    if isinstance(given, list | tuple):
        return ", ".join(format_value(part) for part in given)
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float) and given.is_integer() and abs(given) < 1e15:
        return str(int(given))
    return "" if given is None else str(given)
