"""Who the reader is, and the way in or out."""

from __future__ import annotations

from markupsafe import Markup

from herding.access.operations import USAGE
from herding.people.accounts import Accounts
from herding.people.authenticator import OPERATOR
from herding.ui.kit.format import chip, el
from herding.values import Principal, User

LOGIN, LOGOUT = "login", "logout"
"""Addresses beside the page."""

LOCAL = "local"
"""The id of whoever sits at the machine itself."""


async def find_user(principal: Principal, accounts: Accounts) -> User | None:
    """The principal as a user, where they are one and may know it."""
    return await accounts.me(principal) if USAGE in principal.rights else None


def display_name(principal: Principal, user: User | None) -> str:
    """What to call somebody."""
    if user is not None:
        return user.name
    if principal.token is not None:
        return "Operator" if principal.token == OPERATOR else principal.id
    return "Admin of this machine" if principal.id == LOCAL else "Guest"


def identity(principal: Principal, user: User | None) -> Markup:
    """Name and role, and the button that ends a session or the link that begins one."""
    name = display_name(principal, user)
    shown = el("span", name, cls="whoami-name", title=name)
    role = chip(principal.role, "accent", title=f"Your role: {principal.role}")
    if principal.token is not None:
        return _line(shown, role, el("form", _button("Log out"), method="post", action=LOGOUT))
    if principal.id == LOCAL:
        return _line(shown, role, login_link("discreet"))
    return _line(shown, None if name.lower() == principal.role else role, login_link("button"))


def login_link(cls: str) -> Markup:
    """The link to the page where one logs in."""
    return el("a", "Log in", href=LOGIN, cls=cls)


def _button(label: str) -> Markup:
    return el("button", label, type="submit", cls="button")


def _line(*parts: Markup | None) -> Markup:
    return el("div", *parts, cls="whoami")
