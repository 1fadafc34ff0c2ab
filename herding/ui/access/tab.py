"""The tab "Access": tokens, and for admins users and roles.

The address has `section`, `token` and `user` (the open rows) and `q` (the search). A new token is in the body of one
reply and in no address.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from herding.access.operations import TOKENS
from herding.ui.access.role_editor import RoleRoutes
from herding.ui.access.tokens import TokenRoutes, manages_all
from herding.ui.access.users import UserRoutes
from herding.ui.kit.fields import button
from herding.ui.kit.format import el
from herding.ui.kit.views import Call, Reply, View, fragment
from herding.values import Principal

SECTIONS = {"tokens": "Tokens", "users": "Users", "roles": "Roles"}


class AccessTab(TokenRoutes, UserRoutes, RoleRoutes, View):
    """The sections, of which one is shown; the others keep what was typed in them."""

    key = "access"
    label = "Access"
    rights = frozenset({TOKENS})

    @fragment("GET", "", TOKENS)
    async def open(self, call: Call) -> Reply:
        """Return the whole tab with the section that the address names."""
        known = sections_of(call.principal)
        chosen = call.text("section") if call.text("section") in known else known[0]
        shown = [
            el(
                "div",
                await self._section(name, call) if name == chosen else None,
                id=f"access-{name}",
                cls="access-section",
                data_section=name,
                data_loaded="" if name == chosen else None,
                hidden=None if name == chosen else "",
            )
            for name in known
        ]
        nav = _nav(known, chosen) if len(known) > 1 else None
        address = {"section": "" if chosen == known[0] else chosen}
        return Reply(el("div", nav, *shown, id="access", cls="access", data_module="access"), address=address)

    async def _section(self, name: str, call: Call) -> Markup:
        if name == "users":
            return await self.users_section(call)
        return await (self.roles_section(call) if name == "roles" else self.tokens_section(call))


def sections_of(who: Principal) -> Sequence[str]:
    """Return the sections of a principal."""
    return tuple(SECTIONS) if manages_all(who) else ("tokens",)


def _nav(known: Sequence[str], chosen: str) -> Markup:
    links = (
        button(
            SECTIONS[name],
            kind="quiet",
            id=f"access-to-{name}",
            data_to=name,
            aria_current="true" if name == chosen else None,
            aria_controls=f"access-{name}",
        )
        for name in known
    )
    return el("nav", *links, cls="access-nav", aria_label="Sections")
