"""Users in the tab "Access": list, add, change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import USERS
from herding.errors import HerdingError
from herding.orchestrator import Orchestrator
from herding.ui.access import user_list
from herding.ui.access.user_form import UserForm, read
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.format import el, panel, success
from herding.ui.kit.picklist import pick_list, picked_item
from herding.values import Principal

MAX_SEARCH = 200


class Users:
    """Layout of the section, and its handlers. `chosen` is the id of the user in the form, empty for a new one."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.chosen = gr.State("")
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=7, min_width=320):
                self.search = gr.Textbox(
                    label="Search", placeholder="Id, name, role", interactive=True, elem_id="user-search"
                )
                self.list = pick_list("user-list")
            with gr.Column(scale=4, min_width=300, elem_id="user-side"):
                self.form = UserForm()
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        form = self.form
        filters, filled = [self.search, self.chosen], [self.chosen, *form.outputs, form.note]
        on(self.search.change, self.find, filters, [self.list], name="user_search", trigger_mode="always_last", **now)
        on(self.list.pick, self.pick, [], filled, name="user_pick", trigger_mode="multiple", **now)
        on(form.another.click, self.clear, [self.search], [*filled, self.list], name="user_new", **now)
        saved = [self.list, *filled]
        on(form.save.click, self.save, [*filters, *form.fields], saved, name="user_save", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.search, self.chosen, self.form.role]

    @property
    def outputs(self) -> list[Any]:
        return [self.list, self.form.role, self.form.note]

    @requires(USERS)
    async def opened(self, search: str | None, chosen: str, role: str | None, request: gr.Request) -> list[Any]:
        """The section is opened: the list as it is now; what somebody typed stays."""
        principal = principal_of(request)
        roles = self.form.offers(self._accounts.role_names(principal), role)
        return [await self._list(search, chosen, principal), roles, ""]

    @requires(USERS)
    async def find(self, search: str | None, chosen: str, request: gr.Request) -> Any:
        """The users who fit the search."""
        return await self._list(search, chosen, principal_of(request))

    @requires(USERS)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Put a user into the form."""
        principal = principal_of(request)
        user = await self._accounts.user(picked_item(event), principal)
        return [user.id, *self.form.show(user, self._accounts.role_names(principal)), ""]

    @requires(USERS)
    async def clear(self, search: str | None, request: gr.Request) -> list[Any]:
        """An empty form, for a new user."""
        principal = principal_of(request)
        form = self.form.show(None, self._accounts.role_names(principal))
        return ["", *form, "", await self._list(search, "", principal)]

    @requires(USERS)
    async def save(self, search: str | None, chosen: str, request: gr.Request, *fields: Any) -> list[Any]:
        """Add the user of the form, or change the chosen one; where that fails, what was typed stays."""
        principal = principal_of(request)
        try:
            user = read(fields)
            if chosen:
                user = await self._accounts.change_user(replace(user, id=chosen), principal)
            else:
                user = await self._accounts.add_user(user, principal)
        except HerdingError as error:
            kept = [gr.skip() for _ in (self.list, self.chosen, *self.form.outputs)]
            return [*kept, panel("bad", "Not saved", el("p", error.message), role="alert")]
        form = self.form.show(user, self._accounts.role_names(principal))
        said = success("Saved." if chosen else f"{user.name} is added. Now make a token for them under Tokens.")
        return [await self._list(search, user.id, principal), user.id, *form, said]

    async def _list(self, search: str | None, chosen: str, principal: Principal) -> Markup:
        users = await self._accounts.users(principal)
        found = [user for user in users if user_list.fits(user, (search or "")[:MAX_SEARCH])]
        return user_list.rows(found, chosen, own=principal.id, searched=bool(search and users))
