"""The name and role of the user, with login and logout."""

from __future__ import annotations

from markupsafe import Markup

from herding.access.operations import USAGE
from herding.people.accounts import Accounts
from herding.people.authenticator import OPERATOR
from herding.ui.kit.format import chip, el
from herding.values import Principal, User

LOGIN, LOGOUT = "login", "logout"
"""Addresses relative to the page."""

LOCAL = "local"
"""The id of the local user."""


async def find_user(principal: Principal, accounts: Accounts) -> User | None:
    """Return the user of a principal, or None if it is not one or may not know."""
    return await accounts.me(principal) if USAGE in principal.rights else None


def display_name(principal: Principal, user: User | None) -> str:
    """Return the name to show for a principal."""
    if user is not None:
        return user.name
    if principal.token is not None:
        return "Operator" if principal.token == OPERATOR else principal.id
    return "Local admin" if principal.id == LOCAL else "Guest"


def identity(principal: Principal, user: User | None) -> Markup:
    """Return the name and role, and a button to log out or a link to log in."""
    name = display_name(principal, user)
    shown = el("span", name, cls="whoami-name", title=name)
    role = chip(principal.role, "accent", title=f"Your role: {principal.role}")
    if principal.token is not None:
        return _line(shown, role, el("form", _button("Log out"), method="post", action=LOGOUT))
    if principal.id == LOCAL:
        return _line(shown, role, login_link("discreet"))
    return _line(shown, None if name.lower() == principal.role else role, login_link("button"))


def login_link(cls: str) -> Markup:
    """Return a link to the login page."""
    return el("a", "Log in", href=LOGIN, cls=cls)


def _button(label: str) -> Markup:
    return el("button", label, type="submit", cls="button")


def _line(*parts: Markup | None) -> Markup:
    return el("div", *parts, cls="whoami")
