"""Creating a token: the form, and the new token, which is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from herding.errors import UserError
from herding.ui.kit.fields import button, select_field, text_field
from herding.ui.kit.format import el, panel
from herding.values import Principal, User
from herding.values.durations import DAY_MS

SECRET = "access-secret"  # noqa: S105 (the id of an element)
OWN_ROLE = ""
NEVER = 0
EXPIRY = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year", NEVER: "Never"}
"""The choices of the lifetime, by days."""

DEFAULT_DAYS = 90
NO_USERS = panel("calm", "No users yet", el("p", "A token belongs to a user. Add a user under Users first."))
NOT_A_USER = panel("calm", "You can't create tokens", el("p", "A token belongs to a user. Ask an admin to add you."))


def token_form(principal: Principal, users: Sequence[User] | None, roles: Sequence[str], now: int) -> Markup:
    """Return the form of a new token; `users` is None for principals who create tokens only for themselves."""
    if users is None and principal.token is None:
        return NOT_A_USER
    if users is not None and not users:
        return NO_USERS
    available = expiry_choices(principal, now)
    days = DEFAULT_DAYS if DEFAULT_DAYS in available else NEVER
    own = "Your role" if users is None else "User's role"
    limited = "" if principal.expires_at is None else "Limited by the expiry of your own token."
    return el(
        "form",
        text_field("Name", "name", "", placeholder="Purpose of the token", maxlength="100", id="token-name"),
        _user_field(principal, users) if users is not None else None,
        select_field("Role", "role", [(own, OWN_ROLE), *((name, name) for name in roles)], OWN_ROLE,
                     info="Limit this token to a lesser role.", id="token-role"),
        select_field("Expires", "days", [(text, str(number)) for number, text in available.items()], str(days),
                     info=limited, id="token-days"),
        button("Create token", kind="primary", submit=True, id="token-create"),
        id="token-form",
        cls="access-new",
        hx_post="ui/access/tokens",
        hx_target=f"#{SECRET}",
        hx_include="#token-search",
        hx_sync="this:drop",
    )  # fmt: skip


def _user_field(principal: Principal, users: Sequence[User]) -> Markup:
    known = [user.id for user in users]
    chosen = principal.id if principal.id in known else known[0]
    return select_field("User", "user", [(_label(user), user.id) for user in users], chosen, id="token-user")


def expiry_choices(principal: Principal, now: int) -> dict[int, str]:
    """Return the lifetimes in days that do not exceed the principal's own token."""
    end = principal.expires_at
    if end is None:
        return EXPIRY
    available = {days: text for days, text in EXPIRY.items() if days and now + days * DAY_MS <= end}
    return available | {NEVER: "With your own token"}


def expires_at(days: object, now: int) -> int | None:
    """Return when a token of this lifetime expires (Unix milliseconds), None for never."""
    number = next((known for known in EXPIRY if str(known) == str(days)), None)
    if number is None:
        raise UserError("Choose when the token expires.", param="days")
    return now + number * DAY_MS if number else None


def new_token(title: str, token: str, base: str, *notes: str) -> Markup:
    """Return the token to copy, and a command that tests it; `base` is the address of the app."""
    command = f'curl -H "Authorization: Bearer {token}" {base.rstrip("/")}/api/v1/me'
    return el(
        "div",
        el("strong", title, role="status"),
        el("p", "Copy it now. You won't see it again. Anyone with it can act as this user."),
        _copyable("Token", token, "Copy token"),
        _copyable("Test command", command, "Copy command"),
        *(el("p", note) for note in notes),
        button("Done", id="token-done", data_done=""),
        cls="panel warn access-secret",
    )


def _copyable(label: str, text: str, action: str) -> Markup:
    field: dict[str, Any] = {"readonly": "", "spellcheck": "false"}
    shown = text_field(label, "", text, **field)
    return el("div", shown, button(action, data_copy=""), cls="access-copy")


def _label(user: User) -> str:
    return user.id if user.name == user.id else f"{user.name} · {user.id}"
