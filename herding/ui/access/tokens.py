"""Tokens in the tab "Access": list, create, rotate, revoke."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from herding.access.operations import ADMINISTER, TOKENS, USERS
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.ui.access import secret, token_list
from herding.ui.access.token_form import TokenForm, end_of
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import ANY_ROLE, on, principal_of, requires
from herding.ui.kit.format import el, empty_state, panel
from herding.ui.kit.picklist import pick_list, picked_item
from herding.values import Principal, Token, User

NOT_CHOSEN = empty_state("Nothing chosen", "Choose a token of the list to rotate or revoke it.")
REVOKE = "Whatever uses this token stops at once, also what runs now. This cannot be undone."
MAX_SEARCH = 200
OLD_GOES = "The old token works for 24 hours more."


@dataclass(frozen=True, slots=True)
class Seen:
    """The tokens that somebody may handle, and the users to make tokens for; None for only themselves."""

    tokens: tuple[Token, ...]
    users: tuple[User, ...] | None


class Tokens:
    """Layout of the section, and its handlers. `chosen` is the id of the token whose details are open."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.chosen = gr.State("")
        self.secret = secret.secret_box("token-secret")
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=7, min_width=320):
                self.search = gr.Textbox(
                    label="Search", placeholder="Name, user, role", interactive=True, elem_id="token-search"
                )
                self.list = pick_list("token-list")
            with gr.Column(scale=4, min_width=300, elem_id="token-side"):
                with gr.Column(elem_id="token-detail", elem_classes=["chosen"]):
                    self.page = gr.HTML(NOT_CHOSEN, elem_id="token-page")
                    self.rotate = gr.Button("Rotate", size="sm", visible=False, elem_id="token-rotate")
                    self.revoke = ConfirmButton(
                        "Revoke", REVOKE, "Revoke it", right=TOKENS, name="token_revoke", elem_id="token-revoke"
                    )
                self.form = TokenForm()
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        filters, listed = [self.search, self.chosen], [self.secret, self.list]
        once = {"trigger_mode": "always_last", **now}
        on(self.search.change, self.find, filters, listed, name="token_search", **once)
        picked_now = [self.secret, *self.detail]
        on(self.list.pick, self.pick, [], picked_now, name="token_pick", trigger_mode="multiple", **now)
        made = [self.secret, self.list, self.form.name, self.form.note]
        on(self.form.create.click, self.create, [*filters, *self.form.fields], made, name="token_create", **now)
        changed = [self.secret, self.list, *self.detail]
        on(self.rotate.click, self.turn, filters, changed, name="token_rotate", **now)
        on(self.revoke.button.click, self.hide, [], [self.secret], name="hide_token_revoke", **now)
        on(self.revoke.yes.click, self.end, filters, changed, name="token_revoke", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.search, self.chosen, *self.form.fields[1:]]

    @property
    def detail(self) -> list[Any]:
        return [self.chosen, self.page, self.rotate, *self.revoke.outputs]

    @property
    def outputs(self) -> list[Any]:
        return [self.secret, self.list, *self.detail, *self.form.outputs]

    @requires(TOKENS)
    async def opened(self, search: str | None, chosen: str, request: gr.Request, *held: Any) -> list[Any]:
        """The section is opened: everything as it is now; `held` are the choices of the form."""
        principal = principal_of(request)
        seen = await self._see(principal)
        users = None if seen.users is None else [user for user in seen.users if not user.disabled]
        form = self.form.show(principal, users, self._accounts.role_names(principal), held, now_ms())
        return [secret.GONE, *self._shown(seen, search, chosen, principal), *form]

    async def _see(self, principal: Principal) -> Seen:
        tokens = await self._accounts.tokens(principal)
        return Seen(tokens, await self._accounts.users(principal) if makes_for_others(principal) else None)

    @requires(TOKENS)
    async def find(self, search: str | None, chosen: str, request: gr.Request) -> list[Any]:
        """The tokens that fit the search."""
        principal = principal_of(request)
        return [secret.GONE, self._shown(await self._see(principal), search, chosen, principal)[0]]

    @requires(TOKENS)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Open the details of a token."""
        principal, chosen = principal_of(request), picked_item(event)
        seen = await self._see(principal)
        if chosen not in {token.id for token in seen.tokens}:
            raise NotFoundError("There is no such token any more.", param="token")
        return [secret.GONE, *self._shown(seen, "", chosen, principal)[1:]]

    @requires(TOKENS)
    async def create(self, search: str | None, chosen: str, request: gr.Request, *fields: Any) -> list[Any]:
        """Make a token and show it, once."""
        principal, (name, owner, role, lasts) = principal_of(request), fields
        try:
            token, text = await self._accounts.create_token(
                str(owner or "") if makes_for_others(principal) else principal.id,
                str(name or ""),
                principal,
                role=role or None,
                expires_at=end_of(lasts, now_ms()),
            )
        except HerdingError as error:
            refused = panel("bad", "Not created", el("p", error.message), role="alert")
            return [secret.GONE, gr.skip(), gr.skip(), refused]
        box = secret.shown(f"The token '{token.name}' of {token.user}", text, base_of(request))
        rows = self._shown(await self._see(principal), search, chosen, principal)[0]
        return [box, rows, "", ""]

    @requires(TOKENS)
    async def turn(self, search: str | None, chosen: str, request: gr.Request) -> list[Any]:
        """Put a new token in the place of the chosen one."""
        principal = principal_of(request)
        token, text = await self._accounts.rotate(chosen, principal)
        box = secret.shown(f"The new token '{token.name}' of {token.user}", text, base_of(request), OLD_GOES)
        return [box, *self._shown(await self._see(principal), search, token.id, principal)]

    @requires(TOKENS)
    async def end(self, search: str | None, chosen: str, request: gr.Request) -> list[Any]:
        """End the chosen token."""
        principal = principal_of(request)
        await self._accounts.revoke(chosen, principal)
        return [secret.GONE, *self._shown(await self._see(principal), search, chosen, principal)]

    @requires(ANY_ROLE)
    async def hide(self) -> Any:
        """A token that was shown is not shown any more."""
        return secret.GONE

    @staticmethod
    def _shown(seen: Seen, search: str | None, chosen: str, principal: Principal) -> list[Any]:
        """Updates of the list and of the details of the chosen token."""
        disabled = frozenset(user.id for user in seen.users or () if user.disabled)
        everybody = ADMINISTER in principal.rights
        view = token_list.View(now_ms(), chosen, principal.token, everybody, disabled)
        found = [token for token in seen.tokens if token_list.fits(token, (search or "")[:MAX_SEARCH])]
        rows = token_list.rows(found, view, searched=bool(search and seen.tokens))
        token = next((token for token in seen.tokens if token.id == chosen), None)
        if token is None:
            return [rows, "", NOT_CHOSEN, gr.update(visible=False), *ConfirmButton.show(False)]
        works = not token_list.is_over(token, view.now)
        return [rows, token.id, token_list.detail(token, view), gr.update(visible=works), *ConfirmButton.show(works)]


def makes_for_others(principal: Principal) -> bool:
    """Whether somebody makes tokens for all users, and not only for themselves."""
    return principal.rights >= {USERS, ADMINISTER}


def base_of(request: gr.Request) -> str:
    """The address that the reader's browser knows the app by."""
    return str(getattr(request, "base_url", ""))
