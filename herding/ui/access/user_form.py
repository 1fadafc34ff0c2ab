"""The form of a user: a new one, or one that is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from herding.ui.kit.format import el
from herding.ui.kit.limits import parse, written
from herding.values import User

USUAL_ROLE = "user"


class UserForm:
    """Fields, and the user that they say."""

    def __init__(self) -> None:
        self.title = gr.HTML(_title(None), elem_id="user-title")
        with gr.Column(elem_classes=["fields"]):
            self.id = gr.Textbox(
                label="Id",
                info="Letters, digits and . _ - @; it stays as it is.",
                max_length=64,
                interactive=True,
                elem_id="user-id",
            )
            self.name = gr.Textbox(
                label="Name", placeholder="The id, if left empty", max_length=100, interactive=True, elem_id="user-name"
            )
            self.role = gr.Dropdown([], label="Role", interactive=True, elem_id="user-role")
            self.limits = gr.Textbox(
                label="Own limits",
                info="One a line, on top of those of the role: 500 requests per 24 hours",
                lines=3,
                max_lines=10,
                max_length=2000,
                interactive=True,
                elem_id="user-limits",
            )
            self.opt_out = gr.Checkbox(
                label="Keep no texts", info="Of what they ask and get only counts, times and stars are kept.",
                interactive=True, elem_id="user-opt-out",
            )  # fmt: skip
            self.disabled = gr.Checkbox(
                label="Disabled", info="All their tokens stop working at once.", interactive=True,
                elem_id="user-disabled",
            )  # fmt: skip
            with gr.Row(elem_classes=["answers"]):
                self.save = gr.Button("Add user", variant="primary", size="sm", elem_id="user-save")
                self.another = gr.Button("New user", size="sm", visible=False, elem_id="user-another")
            self.note = gr.HTML(elem_id="user-note", elem_classes=["note"])

    @property
    def fields(self) -> list[Any]:
        return [self.id, self.name, self.role, self.limits, self.opt_out, self.disabled]

    @property
    def outputs(self) -> list[Any]:
        return [self.title, *self.fields, self.save, self.another]

    def show(self, user: User | None, roles: Sequence[str]) -> list[Any]:
        """Updates of `outputs` for a user, or for a new one."""
        known = list(dict.fromkeys([*roles, *([user.role] if user else [])]))
        usual = USUAL_ROLE if USUAL_ROLE in known else next(iter(known), None)
        return [
            _title(user),
            gr.update(value=user.id if user else "", interactive=user is None),
            user.name if user else "",
            gr.update(choices=[(name, name) for name in known], value=user.role if user else usual),
            written(user.limits) if user else "",
            bool(user and user.opt_out),
            bool(user and user.disabled),
            gr.update(value="Save changes" if user else "Add user"),
            gr.update(visible=user is not None),
        ]

    def offers(self, roles: Sequence[str], held: str | None) -> Any:
        """An update of the roles alone, for a form that somebody fills in."""
        known = list(dict.fromkeys([*roles, *([held] if held else [])]))
        usual = USUAL_ROLE if USUAL_ROLE in known else next(iter(known), None)
        return gr.update(choices=[(name, name) for name in known], value=held or usual)


def read(fields: Sequence[Any]) -> User:
    """The user that the fields say; UserError for limits that are none."""
    id, name, role, limits, opt_out, disabled = fields
    return User(
        id=str(id or "").strip(),
        name=str(name or ""),
        role=str(role or ""),
        limits=parse(str(limits or "")),
        opt_out=bool(opt_out),
        disabled=bool(disabled),
    )


def _title(user: User | None) -> Any:
    return el("h2", f"Change {user.name}" if user else "New user")
