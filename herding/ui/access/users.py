"""The users of the Access tab: the list, and the form that adds or edits a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from herding.access.operations import USERS
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.access.parts import MAX_ROWS, drawer_head, matches, row_count, search_field
from herding.ui.kit.fields import button, checkbox, confirm_button, row_name, select_field, text_field
from herding.ui.kit.format import chip, date_tag, el, empty_state, failure, join, plural, success
from herding.ui.kit.limits import limit_text, parse_limits, to_lines
from herding.ui.kit.live import out_of_band
from herding.ui.kit.tables import head_row
from herding.ui.kit.views import Call, Reply, fragment
from herding.values import Principal, User

DEFAULT_ROLE = "user"
DETAIL = "user-detail"
NO_USERS = empty_state("No users yet", "Add a user here, then create a token for them under Tokens.")
NO_MATCHES = empty_state("No matching users", "Change the search to see more.")


@dataclass(frozen=True, slots=True)
class UserFields:
    """The fields of a user's form as they were typed."""

    id: str = ""
    name: str = ""
    role: str = ""
    limits: str = ""
    opt_out: bool = False
    disabled: bool = False

    @classmethod
    def of(cls, user: User) -> UserFields:
        """Return the fields that show a user."""
        return cls(user.id, user.name, user.role, to_lines(user.limits), user.opt_out, user.disabled)

    @classmethod
    def read(cls, call: Call, id: str = "") -> UserFields:
        """Return the fields of a form; `id` is that of the user who is edited."""
        return cls(
            id or call.text("id").strip(),
            call.text("name"),
            call.text("role"),
            call.text("limits").replace("\r\n", "\n"),
            call.text("opt_out") == "on",
            call.text("disabled") == "on",
        )

    def user(self) -> User:
        """Return the user; raise UserError for invalid limits."""
        limits = parse_limits(self.limits)
        return User(self.id, self.name, self.role, limits=limits, opt_out=self.opt_out, disabled=self.disabled)


class UserRoutes:
    """The routes of the section; the tab inherits them."""

    _orchestrator: Orchestrator

    @fragment("GET", "/sections/users", USERS)
    async def users_section(self, call: Call) -> Markup:
        """Return the section with the user that the address names."""
        who = call.principal
        users = await self._orchestrator.accounts.users(who)
        selected = next((user for user in users if user.id == call.text("user")), None)
        roles = self._orchestrator.accounts.role_names(who)
        form = user_form(UserFields.of(selected), roles, edited=selected) if selected else None
        create = button("New user", kind="primary", id="user-new", hx_get="ui/access/user", hx_target=f"#{DETAIL}")
        search = search_field("ID, name or role", "user-search", "ui/access/users", "user-list", call.text("q"))
        found = _listing(users, call.text("q"), call.text("user"), who)
        listing = el("div", el("div", search, create, cls="access-bar"), el("div", found, id="user-list"),
                     cls="access-list")  # fmt: skip
        aside = el("aside", form, id=DETAIL, cls="detail", aria_label="User", data_drawer="user")
        return el("div", listing, aside, cls="split-view drawer")

    @fragment("GET", "/users", USERS)
    async def list_users(self, call: Call) -> Reply:
        """Return the users that match the search, which the address keeps."""
        users = await self._orchestrator.accounts.users(call.principal)
        selected = call.in_address("user")
        return Reply(_listing(users, call.text("q"), selected, call.principal), address={"q": call.text("q")})

    @fragment("GET", "/user", USERS)
    async def new_user(self, call: Call) -> Reply:
        """Return the form of a new user."""
        roles = self._orchestrator.accounts.role_names(call.principal)
        return Reply(user_form(UserFields(), roles), address={"user": ""})

    @fragment("GET", "/users/{user}", USERS)
    async def open_user(self, call: Call) -> Reply:
        """Return the form of a user."""
        user = await self._orchestrator.accounts.user(call.path["user"], call.principal)
        roles = self._orchestrator.accounts.role_names(call.principal)
        return Reply(user_form(UserFields.of(user), roles, edited=user), address={"user": user.id})

    @fragment("POST", "/users", USERS)
    async def add_user(self, call: Call) -> Reply:
        """Add the user of the form."""
        user = await self._orchestrator.accounts.add_user(UserFields.read(call).user(), call.principal)
        note = success(f"{user.name} added. Create a token for them under Tokens.")
        return await self._saved(call, user, note)

    @fragment("POST", "/users/{user}", USERS)
    async def change_user(self, call: Call) -> Reply:
        """Change a user."""
        known = await self._orchestrator.accounts.user(call.path["user"], call.principal)
        changed = UserFields.read(call, known.id).user()
        user = await self._orchestrator.accounts.change_user(changed, call.principal)
        return await self._saved(call, user, success("Saved."))

    async def _saved(self, call: Call, user: User, note: Markup) -> Reply:
        accounts, who = self._orchestrator.accounts, call.principal
        form = user_form(UserFields.of(user), accounts.role_names(who), edited=user, note=note)
        listing = _listing(await accounts.users(who), call.text("q"), user.id, who)
        return Reply(join([form, out_of_band({"user-list": listing})]), address={"user": user.id})

    @fragment("POST", "/users/{user}/sessions", USERS)
    async def log_out(self, call: Call) -> Markup:
        """Log a user out in all browsers."""
        try:
            count = await self._orchestrator.accounts.end_sessions_of(call.path["user"], call.principal)
        except HerdingError as error:
            return failure("Not logged out", error.message)
        return success(f"Ended {plural(count, 'session')}. Tokens stay valid.")


def user_form(
    fields: UserFields, roles: Sequence[str], *, edited: User | None = None, note: Markup | None = None
) -> Markup:
    """Return the form of a user, or of a new one; `note` says how saving went."""
    known = list(dict.fromkeys([*roles, *([fields.role] if fields.role else [])]))
    default = DEFAULT_ROLE if DEFAULT_ROLE in known else next(iter(known), "")
    url = f"ui/access/users/{edited.id}" if edited else "ui/access/users"
    log_out = None
    if edited:
        log_out = confirm_button(
            "Log out everywhere",
            f"This ends all sessions of {edited.name} in browsers. Tokens stay valid.",
            "Log out",
            kind="",
            id="user-log-out",
            hx_post=f"{url}/sessions",
            hx_target="#user-note",
        )
    form = el(
        "form",
        text_field("ID", "id", fields.id, id="user-id", maxlength="64", disabled="" if edited else None,
                   info="Letters, digits and . _ - @. Can't be changed later."),
        text_field("Name", "name", fields.name, id="user-name", maxlength="100", placeholder="Same as the ID"),
        select_field("Role", "role", [(name, name) for name in known], fields.role or default, id="user-role"),
        text_field("Extra limits", "limits", fields.limits, lines=3, id="user-limits", maxlength="2000",
                   info="One per line, in addition to the role's limits. Example: 500 requests per 24 hours"),
        checkbox("Don't store content", "opt_out", checked=fields.opt_out, id="user-opt-out",
                 info="Keep only counts, timings and ratings."),
        checkbox("Disabled", "disabled", checked=fields.disabled, id="user-disabled",
                 info="All tokens of this user stop working immediately."),
        el("div", button("Save changes" if edited else "Add user", kind="primary", submit=True, id="user-save"),
           log_out, cls="answers"),
        el("div", note, id="user-note"),
        id="user-form",
        cls="access-fields",
        hx_post=url,
        hx_target=f"#{DETAIL}",
        hx_include="#user-search",
        hx_sync="this:drop",
    )  # fmt: skip
    return join([drawer_head(f"Edit {edited.name}" if edited else "New user"), form])


def _listing(users: Sequence[User], search: str, selected: str, who: Principal) -> Markup:
    found = [user for user in users if matches(search, user.id, user.name, user.role)]
    return user_table(found, selected, own=who.id, searched=bool(search and users))


def user_table(users: Sequence[User], selected: str, *, own: str, searched: bool) -> Markup:
    """Return the list of users; `own` is the id of the reader."""
    if not users:
        return NO_MATCHES if searched else NO_USERS
    head = head_row("User", "Role", "Extra limits", "Status")
    body = el("tbody", *(_row(user, user.id == selected, own=user.id == own) for user in users[:MAX_ROWS]))
    count = row_count(len(users), "user")
    return join([count, el("table", head, body, cls="rows access-rows", aria_label="Users")])


def _row(user: User, current: bool, *, own: bool) -> Markup:
    name = row_name(
        user.name,
        data_row=user.id,
        hx_get=f"ui/access/users/{user.id}",
        hx_target=f"#{DETAIL}",
    )
    limits = el("div", *(el("div", limit_text(limit)) for limit in user.limits)) if user.limits else None
    marks = [
        chip("disabled", "bad") if user.disabled else chip("active", "good"),
        chip("no content stored", "calm") if user.opt_out else None,
        chip("you", "accent") if own else None,
    ]
    cells: list[tuple[str, Sequence[object]]] = [
        ("", [name, el("div", el("code", user.id)), el("div", "since ", date_tag(user.created_at), cls="muted")]),
        ("", [chip(user.role)]),
        ("Extra limits", [limits or el("span", "none", cls="muted")]),
        ("", [el("div", *marks, cls="chips")]),
    ]
    data = [el("td", *cell, data_label=label or None) for label, cell in cells]
    return el("tr", *data, aria_current="true" if current else None)
