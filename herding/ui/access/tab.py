"""The Access tab: tokens, and for admins users and roles."""

from __future__ import annotations

from typing import Any

import gradio as gr

from herding.access.operations import ADMINISTER, TOKENS, USERS
from herding.orchestrator import Orchestrator
from herding.ui.access.new_token import HIDDEN
from herding.ui.access.role_editor import RoleEditor
from herding.ui.access.tokens import TokensSection
from herding.ui.access.users import UsersSection
from herding.ui.kit.events import on, principal_of, requires
from herding.ui.kit.tab import Tab


class AccessTab(Tab):
    """The tab, with a section each for tokens, users and roles."""

    key = "access"
    label = "Access"
    rights = frozenset({TOKENS})

    def __init__(self, orchestrator: Orchestrator) -> None:
        with gr.Tabs(selected="tokens", elem_id="access-tabs") as self.sections:
            with gr.Tab("Tokens", id="tokens", elem_id="access-tokens") as self.tab_tokens:
                self.tokens = TokensSection(orchestrator)
            with gr.Tab("Users", id="users", visible=False, elem_id="access-users") as self.tab_users:
                self.users = UsersSection(orchestrator)
            with gr.Tab("Roles", id="roles", visible=False, elem_id="access-roles") as self.tab_roles:
                self.roles = RoleEditor(orchestrator)
        self._wire()

    def _wire(self) -> None:
        tokens, users, roles, now = self.tokens, self.users, self.roles, {"queue": False}
        on(self.tab_tokens.select, tokens.opened, tokens.inputs, tokens.outputs, name="access_tokens", **now)
        on(self.tab_users.select, users.opened, users.inputs, users.outputs, name="access_users", **now)
        on(self.tab_roles.select, roles.opened, roles.inputs, roles.outputs, name="access_roles", **now)
        for key, tab in (("users", self.tab_users), ("roles", self.tab_roles)):
            on(tab.select, tokens.hide, [], [tokens.secret], name=f"hide_token_{key}", **now)

    @property
    def inputs(self) -> list[Any]:
        return [*self.tokens.inputs, *self.users.inputs]

    @property
    def open_inputs(self) -> list[Any]:
        return self.inputs

    @property
    def outputs(self) -> list[Any]:
        return [self.tab_users, self.tab_roles, *self.tokens.outputs, *self.users.outputs]

    def pause(self) -> dict[Any, Any]:
        return {self.tokens.secret: HIDDEN}

    @requires(TOKENS)
    async def opened(self, request: gr.Request, *values: Any) -> list[Any]:
        """Open the tab with the sections of the role."""
        admin, count = principal_of(request).rights >= {USERS, ADMINISTER}, len(self.tokens.inputs)
        search, selected, *current = values[:count]
        tokens = await self.tokens.opened(search, selected, request, *current)
        users = [gr.skip() for _ in self.users.outputs]
        if admin:
            search, selected, role = values[count:]
            users = await self.users.opened(search, selected, role, request)
        return [gr.update(visible=admin), gr.update(visible=admin), *tokens, *users]
