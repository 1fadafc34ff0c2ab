"""The users section of the Access tab: the list, and the form that adds or edits a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import USERS
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import chip, date_tag, el, empty_state, join, panel, plural, success
from herding.ui.kit.limits import limit_text, parse_limits, to_lines
from herding.ui.kit.picklist import pick_list, picked_item
from herding.values import Principal, User

DEFAULT_ROLE = "user"
MAX_ROWS = 100
MAX_SEARCH = 200
NO_USERS = empty_state("No users yet", "Add a user here, then create a token for them under Tokens.")
NO_MATCHES = empty_state("No matching users", "Change the search to see more.")


class UsersSection:
    """The section and its handlers; `selected` is the id of the user in the form, empty for a new one."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.selected = gr.State("")
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=7, min_width=320):
                self.search = gr.Textbox(
                    label="Search", placeholder="ID, name or role", interactive=True, elem_id="user-search"
                )
                self.list = pick_list("user-list")
            with gr.Column(scale=4, min_width=300, elem_id="user-side"):
                self.form = UserForm()
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        form = self.form
        filters, filled = [self.search, self.selected], [self.selected, *form.outputs, form.note]
        on(self.search.change, self.find, filters, [self.list], name="user_search", trigger_mode="always_last", **now)
        on(self.list.pick, self.pick, [], filled, name="user_pick", trigger_mode="multiple", **now)
        on(form.new.click, self.clear, [self.search], [*filled, self.list], name="user_new", **now)
        on(form.log_out.click, self.log_out, [self.selected], [form.note], name="user_log_out", **now)
        on(form.save.click, self.save, [*filters, *form.fields], [self.list, *filled], name="user_save", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.search, self.selected, self.form.role]

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.form.role, self.form.note]

    @requires(USERS)
    async def opened(self, search: str | None, selected: str, role: str | None, request: gr.Request) -> list[Any]:
        """Open the section with the current list; the form keeps what was typed."""
        principal = principal_of(request)
        roles = _role_choices(self._accounts.role_names(principal), role)
        return [await self._list(search, selected, principal), roles, ""]

    @requires(USERS)
    async def find(self, search: str | None, selected: str, request: gr.Request) -> Any:
        """Show the users that match the search."""
        return await self._list(search, selected, principal_of(request))

    @requires(USERS)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Edit a user in the form."""
        principal = principal_of(request)
        user = await self._accounts.user(picked_item(event), principal)
        return [user.id, *self.form.show(user, self._accounts.role_names(principal)), ""]

    @requires(USERS)
    async def clear(self, search: str | None, request: gr.Request) -> list[Any]:
        """Empty the form for a new user."""
        principal = principal_of(request)
        form = self.form.show(None, self._accounts.role_names(principal))
        return ["", *form, "", await self._list(search, "", principal)]

    @requires(USERS)
    async def save(self, search: str | None, selected: str, request: gr.Request, *fields: Any) -> list[Any]:
        """Add the user of the form, or change the selected one; on an error the form keeps what was typed."""
        principal = principal_of(request)
        try:
            user = read_user(fields)
            if selected:
                user = await self._accounts.change_user(replace(user, id=selected), principal)
            else:
                user = await self._accounts.add_user(user, principal)
        except HerdingError as error:
            unchanged = [gr.skip() for _ in (self.list, self.selected, *self.form.outputs)]
            return [*unchanged, panel("bad", "Not saved", el("p", error.message), role="alert")]
        form = self.form.show(user, self._accounts.role_names(principal))
        note = success("Saved." if selected else f"{user.name} added. Create a token for them under Tokens.")
        return [await self._list(search, user.id, principal), user.id, *form, note]

    @requires(USERS)
    async def log_out(self, selected: str, request: gr.Request) -> Markup:
        """Log the selected user out in all browsers."""
        try:
            count = await self._accounts.end_sessions_of(selected, principal_of(request))
        except HerdingError as error:
            return panel("bad", "Not logged out", el("p", error.message), role="alert")
        return success(f"Ended {plural(count, 'session')}. Tokens stay valid.")

    async def _list(self, search: str | None, selected: str, principal: Principal) -> Markup:
        users = await self._accounts.users(principal)
        found = [user for user in users if _matches(user, (search or "")[:MAX_SEARCH])]
        return user_table(found, selected, own=principal.id, searched=bool(search and users))


class UserForm:
    """The fields of a user."""

    def __init__(self) -> None:
        self.title = gr.HTML(_title(None), elem_id="user-title")
        with gr.Column(elem_classes=["fields"]):
            self.id = gr.Textbox(
                label="ID",
                info="Letters, digits and . _ - @. Can't be changed later.",
                max_length=64,
                interactive=True,
                elem_id="user-id",
            )
            self.name = gr.Textbox(
                label="Name", placeholder="Same as the ID", max_length=100, interactive=True, elem_id="user-name"
            )
            self.role = gr.Dropdown([], label="Role", interactive=True, elem_id="user-role")
            self.limits = gr.Textbox(
                label="Extra limits",
                info="One per line, in addition to the role's limits. Example: 500 requests per 24 hours",
                lines=3,
                max_lines=10,
                max_length=2000,
                interactive=True,
                elem_id="user-limits",
            )
            self.opt_out = gr.Checkbox(
                label="Don't store content",
                info="Keep only counts, timings and ratings.",
                interactive=True,
                elem_id="user-opt-out",
            )
            self.disabled = gr.Checkbox(
                label="Disabled",
                info="All tokens of this user stop working immediately.",
                interactive=True,
                elem_id="user-disabled",
            )
            with gr.Row(elem_classes=["answers"]):
                self.save = gr.Button("Add user", variant="primary", size="sm", elem_id="user-save")
                self.new = gr.Button("New user", size="sm", visible=False, elem_id="user-another")
                self.log_out = gr.Button("Log out everywhere", size="sm", visible=False, elem_id="user-log-out")
            self.note = gr.HTML(elem_id="user-note", elem_classes=["note"])

    @property
    def fields(self) -> list[Any]:
        return [self.id, self.name, self.role, self.limits, self.opt_out, self.disabled]

    @property
    def outputs(self) -> list[Any]:
        return [self.title, *self.fields, self.save, self.new, self.log_out]

    def show(self, user: User | None, roles: Sequence[str]) -> list[Any]:
        """Return updates of `outputs` for a user, or for a new one."""
        return [
            _title(user),
            gr.update(value=user.id if user else "", interactive=user is None),
            user.name if user else "",
            _role_choices(roles, user.role if user else None),
            to_lines(user.limits) if user else "",
            bool(user and user.opt_out),
            bool(user and user.disabled),
            gr.update(value="Save changes" if user else "Add user"),
            gr.update(visible=user is not None),
            gr.update(visible=user is not None),
        ]


def read_user(fields: Sequence[Any]) -> User:
    """Return the user of the form; raise UserError for invalid limits."""
    id, name, role, limits, opt_out, disabled = fields
    return User(
        id=str(id or "").strip(),
        name=str(name or ""),
        role=str(role or ""),
        limits=parse_limits(str(limits or "")),
        opt_out=bool(opt_out),
        disabled=bool(disabled),
    )


def user_table(users: Sequence[User], selected: str, *, own: str, searched: bool) -> Markup:
    """Return the list of users; `own` is the id of the reader."""
    if not users:
        return NO_MATCHES if searched else NO_USERS
    heads = ("User", "Role", "Extra limits", "Status")
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in heads)))
    body = el("tbody", *(_row(user, user.id == selected, own=user.id == own) for user in users[:MAX_ROWS]))
    cut = f"First {MAX_ROWS} of {len(users):,}. Search to see others." if len(users) > MAX_ROWS else ""
    count = el("p", cut or plural(len(users), "user"), cls="muted count", role="status")
    return join([count, el("table", head, body, cls="entries people users", data_detail="user-side")])


def _matches(user: User, search: str) -> bool:
    text = " ".join((user.id, user.name, user.role)).casefold()
    return all(word in text for word in search.casefold().split())


def _row(user: User, current: bool, *, own: bool) -> Markup:
    pick = el("button", user.name, el("span", ": edit", cls="sr"), type="button", cls="row-pick", data_pick=user.id)
    limits = el("div", *(el("div", limit_text(limit)) for limit in user.limits)) if user.limits else None
    status = chip("disabled", "bad") if user.disabled else chip("active", "good")
    marks = [
        status,
        chip("no content stored", "calm") if user.opt_out else None,
        chip("you", "accent") if own else None,
    ]
    cells: list[tuple[str, Sequence[object]]] = [
        ("", [pick, el("div", el("code", user.id)), el("div", "since ", date_tag(user.created_at), cls="muted")]),
        ("", [chip(user.role)]),
        ("Extra limits", [limits or el("span", "none", cls="muted")]),
        ("", marks),
    ]
    data = [el("td", *cell, data_label=label or None) for label, cell in cells]
    return el("tr", *data, data_row="", aria_current="true" if current else None)


def _role_choices(roles: Sequence[str], current: str | None) -> Any:
    """Return an update of the role field, with the current role even if it no longer exists."""
    known = list(dict.fromkeys([*roles, *([current] if current else [])]))
    default = DEFAULT_ROLE if DEFAULT_ROLE in known else next(iter(known), None)
    return gr.update(choices=[(name, name) for name in known], value=current or default)


def _title(user: User | None) -> Markup:
    return el("h2", f"Edit {user.name}" if user else "New user")
