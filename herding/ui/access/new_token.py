"""Creating a token: the form, and the new token, which is shown once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.errors import UserError
from herding.ui.kit.format import el, panel
from herding.ui.kit.theme import ASSETS
from herding.values import Principal, User
from herding.values.durations import DAY_MS

SCRIPT = (ASSETS / "secret.js").read_text(encoding="utf-8")
HIDDEN = ""
"""The value that removes a new token from the page."""

OWN_ROLE = ""
NEVER = 0
EXPIRY = {7: "7 days", 30: "30 days", 90: "90 days", 365: "1 year", NEVER: "Never"}
"""The choices of the lifetime, by days."""

DEFAULT_DAYS = 90
NO_USERS = panel("calm", "No users yet", el("p", "A token belongs to a user. Add a user under Users first."))
NOT_A_USER = panel("calm", "You can't create tokens", el("p", "A token belongs to a user. Ask an admin to add you."))


class TokenForm:
    """The fields of a new token."""

    def __init__(self) -> None:
        gr.HTML(el("h2", "New token"))
        self.missing = gr.HTML(visible=False, elem_id="token-missing")
        with gr.Column(elem_classes=["fields"]) as self.box:
            self.name = gr.Textbox(
                label="Name", placeholder="Purpose of the token", max_length=100, interactive=True, elem_id="token-name"
            )
            self.user = gr.Dropdown([], label="User", interactive=True, visible=False, elem_id="token-user")
            self.role = gr.Dropdown(
                [("User's role", OWN_ROLE)],
                value=OWN_ROLE,
                label="Role",
                info="Limit this token to a lesser role.",
                interactive=True,
                elem_id="token-role",
            )
            self.days = gr.Dropdown(
                _choices(EXPIRY), value=DEFAULT_DAYS, label="Expires", interactive=True, elem_id="token-lasts"
            )
            self.create = gr.Button("Create token", variant="primary", size="sm", elem_id="token-create")
            self.note = gr.HTML(elem_id="token-note", elem_classes=["note"])

    @property
    def fields(self) -> list[Any]:
        return [self.name, self.user, self.role, self.days]

    @property
    def outputs(self) -> list[Any]:
        return [self.missing, self.box, self.user, self.role, self.days, self.note]

    def show(
        self, principal: Principal, users: Sequence[User] | None, roles: Sequence[str], current: Sequence[Any], now: int
    ) -> list[Any]:
        """Return updates of `outputs`; `users` is None for principals who create tokens only for themselves.

        `current` holds the present choices of user, role and days, which stay if they are still available.
        """
        user, role, days = current
        known = [found.id for found in users or ()]
        has_owner = principal.token is not None if users is None else bool(known)
        default_user = principal.id if principal.id in known else next(iter(known), None)
        available = expiry_choices(principal, now)
        return [
            gr.update(value=NOT_A_USER if users is None else NO_USERS, visible=not has_owner),
            gr.update(visible=has_owner),
            gr.update(
                choices=[(_label(found), found.id) for found in users or ()],
                value=user if user in known else default_user,
                visible=users is not None,
            ),
            gr.update(
                choices=[
                    ("Your role" if users is None else "User's role", OWN_ROLE),
                    *((name, name) for name in roles),
                ],
                value=role if role in roles else OWN_ROLE,
            ),
            gr.update(
                choices=_choices(available),
                value=days if days in available else DEFAULT_DAYS if DEFAULT_DAYS in available else NEVER,
                info="" if principal.expires_at is None else "Limited by the expiry of your own token.",
            ),
            "",
        ]


def expiry_choices(principal: Principal, now: int) -> dict[int, str]:
    """Return the lifetimes in days that do not exceed the principal's own token."""
    end = principal.expires_at
    if end is None:
        return EXPIRY
    available = {days: text for days, text in EXPIRY.items() if days and now + days * DAY_MS <= end}
    return available | {NEVER: "With your own token"}


def expires_at(days: object, now: int) -> int | None:
    """Return when a token of this lifetime expires (Unix milliseconds), None for never."""
    if isinstance(days, bool) or days not in EXPIRY:
        raise UserError("Choose when the token expires.", param="lasts")
    number = int(str(days))
    return now + number * DAY_MS if number else None


def secret_box(elem_id: str) -> Any:
    """Return the component for `new_token`; its buttons copy, and it scrolls into view when it is filled."""
    return gr.HTML(HIDDEN, js_on_load=SCRIPT, apply_default_css=False, elem_id=elem_id, elem_classes=["secret"])


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
        cls="panel warn",
    )


def _copyable(label: str, text: str, button: str) -> Markup:
    field = el("input", type="text", readonly="", value=text, spellcheck="false", autocomplete="off", aria_label=label)
    copy = el("button", button, type="button", cls="copy")
    return el("div", el("span", label, cls="copy-label"), el("div", field, copy, cls="copy-row"))


def _choices(expiry: dict[int, str]) -> list[tuple[str, str | int | float]]:
    return [(text, days) for days, text in expiry.items()]


def _label(user: User) -> str:
    return user.id if user.name == user.id else f"{user.name} · {user.id}"
