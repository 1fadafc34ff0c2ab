"""The form of a new token: whose it is, what it may do, and how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from herding.errors import UserError
from herding.ui.kit.format import el, panel
from herding.values import Principal, User

DAY_MS = 24 * 3600 * 1000
OWN_ROLE = ""
FOREVER = 0
LASTS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "a year", FOREVER: "without end"}
USUAL = 90
NO_USERS = panel("calm", "A token belongs to a user", el("p", "Add a user first, under Users."))
NO_USER = panel("calm", "A token belongs to a user", el("p", "You are none here, so you cannot have one."))


class TokenForm:
    """Fields, and what they say."""

    def __init__(self) -> None:
        gr.HTML(el("h2", "New token"))
        self.missing = gr.HTML(visible=False, elem_id="token-missing")
        with gr.Column(elem_classes=["fields"]) as self.box:
            self.name = gr.Textbox(
                label="Name", placeholder="What it is for", max_length=100, interactive=True, elem_id="token-name"
            )
            self.user = gr.Dropdown([], label="User", interactive=True, visible=False, elem_id="token-user")
            self.role = gr.Dropdown(
                [("the user's own role", OWN_ROLE)],
                value=OWN_ROLE,
                label="Role",
                info="A weaker role makes a token for one purpose.",
                interactive=True,
                elem_id="token-role",
            )
            self.lasts = gr.Dropdown(
                _choices(LASTS), value=USUAL, label="Lasts", interactive=True, elem_id="token-lasts"
            )
            self.create = gr.Button("Create token", variant="primary", size="sm", elem_id="token-create")
            self.note = gr.HTML(elem_id="token-note", elem_classes=["note"])

    @property
    def fields(self) -> list[Any]:
        return [self.name, self.user, self.role, self.lasts]

    @property
    def outputs(self) -> list[Any]:
        return [self.missing, self.box, self.user, self.role, self.lasts, self.note]

    def show(
        self, principal: Principal, users: Sequence[User] | None, roles: Sequence[str], held: Sequence[Any], now: int
    ) -> list[Any]:
        """Updates of `outputs`; `users` are those to choose from, None for whoever makes tokens for themselves only.

        `held` are the choices made so far (user, role, lasts), which stay where they still can.
        """
        user, role, lasts = held
        known = [found.id for found in users or ()]
        owner = principal.token is not None if users is None else bool(known)
        mine = principal.id if principal.id in known else next(iter(known), None)
        usable = lasting(principal, now)
        return [
            gr.update(value=NO_USER if users is None else NO_USERS, visible=not owner),
            gr.update(visible=owner),
            gr.update(
                choices=[(_called(found), found.id) for found in users or ()],
                value=user if user in known else mine,
                visible=users is not None,
            ),
            gr.update(
                choices=[(_own(users), OWN_ROLE), *((name, name) for name in roles)],
                value=role if role in roles else OWN_ROLE,
            ),
            gr.update(
                choices=_choices(usable),
                value=lasts if lasts in usable else USUAL if USUAL in usable else FOREVER,
                info=_bound(principal),
            ),
            "",
        ]


def lasting(principal: Principal, now: int) -> dict[int, str]:
    """How many days a token of this principal may last: not beyond the one that they came with."""
    end = principal.expires_at
    if end is None:
        return LASTS
    fit = {days: told for days, told in LASTS.items() if days and now + days * DAY_MS <= end}
    return fit | {FOREVER: "as long as the one you came with"}


def end_of(lasts: object, now: int) -> int | None:
    """When a token of the chosen length ends (Unix milliseconds), None for never."""
    if isinstance(lasts, bool) or lasts not in LASTS:
        raise UserError("Choose how long the token lasts.", param="lasts")
    days = int(str(lasts))
    return now + days * DAY_MS if days else None


def _own(users: Sequence[User] | None) -> str:
    return "your own role" if users is None else "the user's own role"


def _bound(principal: Principal) -> str:
    return "" if principal.expires_at is None else "No token outlives the one you came with."


def _choices(lasts: dict[int, str]) -> list[tuple[str, str | int | float]]:
    return [(told, days) for days, told in lasts.items()]


def _called(user: User) -> str:
    return user.id if user.name == user.id else f"{user.name} · {user.id}"
