"""Tokens as a table whose rows can be chosen, and all about one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from herding.ui.kit.format import (
    chip,
    date_tag,
    datetime_tag,
    el,
    empty_state,
    join,
    key_values,
    plural,
    rough_duration,
)
from herding.values import Token

SOON_MS = 7 * 24 * 3600 * 1000
SHOWN = 100
ROTATING = "Rotate puts a new token in its place; this one then works for 24 hours more."
NOTHING = empty_state("No tokens yet", "A token lets a program, or a person on another machine, in. Create one here.")
NO_FIT = empty_state("No token fits", "Change the search to see more.")


@dataclass(frozen=True, slots=True)
class View:
    """What the reader sees of tokens: `own` is the one that they came with, `disabled` are users who are locked out."""

    now: int
    chosen: str = ""
    own: str | None = None
    all_users: bool = False
    disabled: frozenset[str] = frozenset()


def rows(tokens: Sequence[Token], view: View, *, searched: bool) -> Markup:
    """The table, the working ones first."""
    if not tokens:
        return NO_FIT if searched else NOTHING
    ordered = sorted(tokens, key=lambda token: (is_over(token, view.now), -token.created_at))
    names = ("Name", "User and role" if view.all_users else "Role", "Created", "Expires", "Last used", "State")
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in names)))
    shown = ordered[:SHOWN]
    body = el("tbody", *(_row(token, view) for token in shown))
    more = f"The first {SHOWN} of {len(ordered):,}; search to see others." if len(ordered) > SHOWN else ""
    count = el("p", more or plural(len(ordered), "token"), cls="muted count", role="status")
    return join([count, el("table", head, body, cls="entries people tokens", data_detail="token-detail")])


def detail(token: Token, view: View) -> Markup:
    """All about one token, which is never its secret."""
    here = el("p", chip("this session", "accent"), " You are logged in with this token.")
    shown = key_values(
        [
            ("Token", el("code", f"hl_{token.id}")),
            ("User", token.user),
            ("Role", token.role or "the user's own"),
            ("Created", datetime_tag(token.created_at)),
            ("Created by", token.created_by),
            ("Expires", datetime_tag(token.expires_at) if token.expires_at is not None else "never"),
            ("Revoked", datetime_tag(token.revoked_at) if token.revoked_at is not None else None),
            ("Last used", datetime_tag(token.last_used_at) if token.last_used_at is not None else "never"),
        ]
    )
    hint = None if is_over(token, view.now) else el("p", ROTATING, cls="muted")
    head = el("div", el("h2", token.name), _state(token, view), cls="page-head")
    return join([head, here if token.id == view.own else None, shown, hint])


def is_over(token: Token, now: int) -> bool:
    """Whether a token does not work any more."""
    return token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now)


def fits(token: Token, search: str) -> bool:
    """Whether every word of a search is somewhere in what the table shows."""
    text = " ".join((token.name, token.user, token.role or "", token.id)).casefold()
    return all(word in text for word in search.casefold().split())


def _row(token: Token, view: View) -> Markup:
    spoken = el("span", ": show details", cls="sr")
    pick = el("button", token.name, spoken, type="button", cls="row-pick", data_pick=token.id)
    here = chip("this session", "accent") if token.id == view.own else None
    role = token.role or ("own role" if view.all_users else "your own role")
    user = el("div", token.user) if view.all_users else None
    cells: list[tuple[str, Sequence[object]]] = [
        ("", [pick, el("div", el("code", f"hl_{token.id[:4]}…"), " ", here)]),
        ("", [user, el("div", role, cls="muted")]),
        ("Created", [date_tag(token.created_at)]),
        ("Expires", [date_tag(token.expires_at) if token.expires_at is not None else "never"]),
        ("Last used", [_ago(token.last_used_at, view.now)]),
        ("", [_state(token, view)]),
    ]
    shown = [el("td", *cell, data_label=label or None) for label, cell in cells]
    return el("tr", *shown, data_row="", aria_current="true" if token.id == view.chosen else None)


def _ago(at: int | None, now: int) -> Markup:
    if at is None:
        return el("span", "never", cls="muted")
    passed = max(0, now - at)
    return el("span", "just now" if passed < 60_000 else f"{rough_duration(passed)} ago")


def _state(token: Token, view: View) -> Markup:
    if token.revoked_at is not None:
        return chip("revoked", "bad")
    if is_over(token, view.now):
        return chip("expired", "calm")
    if token.user in view.disabled:
        return chip("user disabled", "bad")
    if token.expires_at is not None and token.expires_at - view.now < SOON_MS:
        return chip("expires soon", "warn", title=f"in {rough_duration(token.expires_at - view.now)}")
    return chip("active", "good")
