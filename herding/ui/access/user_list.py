"""Users as a table whose rows can be chosen."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.ui.kit.format import chip, date_tag, el, empty_state, join, plural
from herding.ui.kit.limits import words
from herding.values import User

SHOWN = 100
NOTHING = empty_state("No users yet", "Add the first one here, then make a token for them under Tokens.")
NO_FIT = empty_state("No user fits", "Change the search to see more.")


def rows(users: Sequence[User], chosen: str, *, own: str, searched: bool) -> Markup:
    """The table; `own` is the id of the reader."""
    if not users:
        return NO_FIT if searched else NOTHING
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in ("User", "Role", "Own limits", "State"))))
    body = el("tbody", *(_row(user, user.id == chosen, own=user.id == own) for user in users[:SHOWN]))
    more = f"The first {SHOWN} of {len(users):,}; search to see others." if len(users) > SHOWN else ""
    count = el("p", more or plural(len(users), "user"), cls="muted count", role="status")
    return join([count, el("table", head, body, cls="entries people users", data_detail="user-side")])


def fits(user: User, search: str) -> bool:
    """Whether every word of a search is somewhere in what the table shows."""
    text = " ".join((user.id, user.name, user.role)).casefold()
    return all(word in text for word in search.casefold().split())


def _row(user: User, current: bool, *, own: bool) -> Markup:
    spoken = el("span", ": change", cls="sr")
    pick = el("button", user.name, spoken, type="button", cls="row-pick", data_pick=user.id)
    limits = el("div", *(el("div", words(limit)) for limit in user.limits)) if user.limits else None
    state = chip("disabled", "bad") if user.disabled else chip("active", "good")
    marks = [state, chip("keeps no texts", "calm") if user.opt_out else None, chip("you", "accent") if own else None]
    cells: list[tuple[str, Sequence[object]]] = [
        ("", [pick, el("div", el("code", user.id)), el("div", "since ", date_tag(user.created_at), cls="muted")]),
        ("", [chip(user.role)]),
        ("Own limits", [limits or el("span", "none", cls="muted")]),
        ("", marks),
    ]
    shown = [el("td", *cell, data_label=label or None) for label, cell in cells]
    return el("tr", *shown, data_row="", aria_current="true" if current else None)
