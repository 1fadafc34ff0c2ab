"""Values as a person reads them, and the one place where text becomes HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from herding.values import CheckResult


class Html(str):
    """HTML that is safe to show: made by `el` and `text` only."""

    __slots__ = ()


# A component's template may read `{{` and `${`; as entities they are only characters.
_ENTITIES = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})

STATUS = {
    "running": ("NodeCall", "busy"),
    "succeeded": ("Succeeded", "good"),
    "partial": ("Broke off", "warn"),
    "failed": ("Failed", "bad"),
    "cancelled": ("Cancelled", "calm"),
    "abandoned": ("Abandoned", "calm"),
    "interrupted": ("Interrupted", "warn"),
}
STATE = {
    "ready": ("ready", "good"),
    "loading": ("loading", "busy"),
    "starting": ("starting", "busy"),
    "down": ("down", "bad"),
    "off": ("off", "calm"),
}


def text(value: object) -> Html:
    """`value` as characters, whatever they are."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True).translate(_ENTITIES))


def el(name: str, *children: object, cls: str = "", **attributes: str | None) -> Html:
    """An element; children and attribute values are escaped, except for Html; None and "" are left out."""
    given = {"class": cls or None} | {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    written = "".join(f' {key}="{text(value)}"' for key, value in given.items() if value is not None)
    return Html(f"<{name}{written}>{join(children)}</{name}>")


def join(parts: Iterable[object]) -> Html:
    """Several pieces one after the other."""
    return Html("".join(text(part) for part in parts if part not in (None, "")))


def chip(label: object, tone: str = "plain", *, title: str | None = None) -> Html:
    """A small coloured mark. Tones: plain, calm, good, busy, warn, bad, accent."""
    return el("span", label, cls=f"chip {tone}", title=title)


def status_chip(status: str) -> Html:
    """How a request ended."""
    return chip(*STATUS.get(status, (status, "plain")))


def state_chip(state: str) -> Html:
    """What a node is doing."""
    return chip(*STATE.get(state, (state, "plain")))


def checks_chip(verdict: CheckResult) -> Html:
    """Whether the checks passed; nothing where there are none."""
    if verdict.ok is None:
        return Html()
    return chip("contract kept", "good") if verdict.ok else chip(f"contract breach: {verdict.reason}", "warn")


def facts(pairs: Iterable[tuple[str, object]], *, cls: str = "facts", before: Html | None = None) -> Html:
    """Names and values side by side; pairs without a value are left out."""
    shown = [el("div", el("dt", name), el("dd", value)) for name, value in pairs if value not in (None, "")]
    return el("dl", before, *shown, cls=cls)


def panel(tone: str, title: str, *body: object, role: str | None = None) -> Html:
    """A box that says something in a tone (bad, warn, calm)."""
    return el("div", el("strong", title), *body, cls=f"panel {tone}", role=role)


def done(said: object) -> Html:
    """Something that went well."""
    return el("p", join(["✓ ", said]), cls="saved", role="status")


def empty(title: str, *body: object) -> Html:
    """What stands where there is nothing yet."""
    return el("div", el("strong", title), *(el("p", part) for part in body), cls="empty")


def plural(count: int, word: str) -> str:
    """`1 request`, `2 requests`."""
    return f"{count:,} {word if count == 1 else word + 's'}"


def duration(ms: float | None) -> str:
    """Milliseconds as `45 ms`, `1.2 s`, `3 min 5 s`."""
    if ms is None:
        return "–"
    if ms < 1000:
        return f"{ms:.0f} ms"
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(round(ms / 1000), 60)
    return f"{minutes} min {seconds} s"


def size(count: int) -> str:
    """Bytes as `512 MB`, `1.4 GB`."""
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 0), ("GB", 1)):
        if abs(count) < 1000:
            return f"{count:.{digits}f} {unit}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.1f} TB"


def when(unix_ms: int) -> str:
    """An instant as `21 Nov 2026, 00:40:36` (UTC)."""
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%-d %b %Y, %H:%M:%S}"


def instant(unix_ms: int) -> Html:
    """An instant that a machine can read as well; the page shows it in the reader's time zone."""
    iso = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="seconds")
    return el("time", f"{when(unix_ms)} UTC", datetime=iso)


def day(unix_ms: int) -> Html:
    """The day of an instant; its title tells the time."""
    found = datetime.fromtimestamp(unix_ms / 1000, UTC)
    title, iso = f"{when(unix_ms)} UTC", found.isoformat(timespec="seconds")
    return el("time", f"{found:%-d %b %Y}", datetime=iso, title=title, data_form="day")


def clock(unix_ms: int) -> Html:
    """The time of an instant, which the page shows with its day if that is another one; its title tells both."""
    found = datetime.fromtimestamp(unix_ms / 1000, UTC)
    iso = found.isoformat(timespec="seconds")
    return el("time", f"{found:%H:%M:%S} UTC", datetime=iso, title=f"{when(unix_ms)} UTC", data_form="clock")


def span(ms: float) -> str:
    """A long time, roughly: `under a minute`, `5 min`, `3 h 20 min`, `12 days`."""
    minutes = round(ms / 60_000)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest and hours < 24 else f"{hours} h"
    return plural(round(minutes / 1440), "day")


def stars(count: int | None) -> Html:
    """Given stars, for reading."""
    if not count:
        return el("span", "not rated", cls="muted")
    shown = el("span", "★" * count, el("span", "★" * (5 - count), cls="unlit"), aria_hidden="true")
    return el("span", shown, el("span", f"{plural(count, 'star')}", cls="sr"), cls="lit")


def mean(value: float | None, count: int) -> Html:
    """A mean of stars with the number of ratings behind it."""
    if value is None:
        return el("span", "no stars yet", cls="muted")
    return el("span", el("span", "★ ", cls="lit", aria_hidden="true"), f"{value:.1f} ({plural(count, 'rating')})")


def clip(value: str, length: int) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(value[: length * 4].split())
    return line if len(line) <= length and len(value) <= length * 4 else f"{line[:length].rstrip()} …"


def value(given: Any) -> str:
    """A variable's value as a form shows it: `1200`, `900, 700`."""
    if isinstance(given, list | tuple):
        return ", ".join(value(part) for part in given)
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, float) and given.is_integer() and abs(given) < 1e15:
        return str(int(given))
    return "" if given is None else str(given)
