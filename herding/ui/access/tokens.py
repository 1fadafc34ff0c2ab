"""The tokens section of the Access tab: the list, one token in full, and creating a token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from herding.access.operations import ADMINISTER, TOKENS, USERS
from herding.errors import HerdingError, NotFoundError
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.ui.access.new_token import HIDDEN, TokenForm, expires_at, new_token, secret_box
from herding.ui.kit.confirm import ConfirmButton
from herding.ui.kit.events import ANY_ROLE, on, principal_of, requires
from herding.ui.kit.format import (
    chip,
    date_tag,
    datetime_tag,
    el,
    empty_state,
    join,
    key_values,
    panel,
    plural,
    rough_duration,
)
from herding.ui.kit.picklist import pick_list, picked_item
from herding.values import Principal, Token, User

MAX_ROWS = 100
MAX_SEARCH = 200
SOON_MS = 7 * 24 * 3600 * 1000
NO_TOKENS = empty_state("No tokens yet", "Create a token to give a program or another machine access.")
NO_MATCHES = empty_state("No matching tokens", "Change the search to see more.")
NOT_SELECTED = empty_state("Nothing selected", "Select a token to rotate or revoke it.")
REVOKE_QUESTION = (
    "Everything that uses this token stops working immediately, including running requests. This can't be undone."
)
ROTATE_HELP = "Rotating creates a new token. The old token keeps working for 24 hours."


@dataclass(frozen=True, slots=True)
class TokenView:
    """A reader's view of tokens: `own` is the id of their token, `disabled` are the ids of disabled users."""

    now: int
    selected: str = ""
    own: str | None = None
    all_users: bool = False
    disabled: frozenset[str] = frozenset()


class TokensSection:
    """The section and its handlers; `selected` is the id of the open token."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self._accounts = orchestrator.accounts
        self.selected = gr.State("")
        self.secret = secret_box("token-secret")
        with gr.Row(elem_classes=["split"]):
            with gr.Column(scale=7, min_width=320):
                self.search = gr.Textbox(
                    label="Search", placeholder="Name, user or role", interactive=True, elem_id="token-search"
                )
                self.list = pick_list("token-list")
            with gr.Column(scale=4, min_width=300, elem_id="token-side"):
                with gr.Column(elem_id="token-detail", elem_classes=["chosen"]):
                    self.page = gr.HTML(NOT_SELECTED, elem_id="token-page")
                    self.rotate = gr.Button("Rotate token", size="sm", visible=False, elem_id="token-rotate")
                    self.revoke = ConfirmButton(
                        "Revoke token",
                        REVOKE_QUESTION,
                        "Revoke",
                        right=TOKENS,
                        name="token_revoke",
                        elem_id="token-revoke",
                    )
                self.form = TokenForm()
        self._wire()

    def _wire(self) -> None:
        now: dict[str, Any] = {"queue": False}
        filters, listed = [self.search, self.selected], [self.secret, self.list]
        on(self.search.change, self.find, filters, listed, name="token_search", trigger_mode="always_last", **now)
        opened = [self.secret, *self.detail]
        on(self.list.pick, self.pick, [], opened, name="token_pick", trigger_mode="multiple", **now)
        created = [self.secret, self.list, self.form.name, self.form.note]
        on(self.form.create.click, self.create, [*filters, *self.form.fields], created, name="token_create", **now)
        changed = [self.secret, self.list, *self.detail]
        on(self.rotate.click, self.rotate_token, filters, changed, name="token_rotate", **now)
        on(self.revoke.button.click, self.hide, [], [self.secret], name="hide_token_revoke", **now)
        on(self.revoke.yes.click, self.revoke_token, filters, changed, name="token_revoke", **now)

    @property
    def inputs(self) -> list[Any]:
        return [self.search, self.selected, *self.form.fields[1:]]

    @property
    def detail(self) -> list[Any]:
        return [self.selected, self.page, self.rotate, *self.revoke.outputs]

    @property
    def outputs(self) -> list[Any]:
        return [self.secret, self.list, *self.detail, *self.form.outputs]

    @requires(TOKENS)
    async def opened(self, search: str | None, selected: str, request: gr.Request, *current: Any) -> list[Any]:
        """Open the section; `current` holds the choices of the form."""
        principal = principal_of(request)
        tokens, users = await self._load(principal)
        enabled = None if users is None else [user for user in users if not user.disabled]
        form = self.form.show(principal, enabled, self._accounts.role_names(principal), current, now_ms())
        return [HIDDEN, *_updates(tokens, users, search, selected, principal), *form]

    async def _load(self, principal: Principal) -> tuple[Sequence[Token], Sequence[User] | None]:
        """Return the tokens that the principal manages; for admins also the users."""
        tokens = await self._accounts.tokens(principal)
        return tokens, await self._accounts.users(principal) if manages_all(principal) else None

    @requires(TOKENS)
    async def find(self, search: str | None, selected: str, request: gr.Request) -> list[Any]:
        """Show the tokens that match the search."""
        principal = principal_of(request)
        return [HIDDEN, _updates(*await self._load(principal), search, selected, principal)[0]]

    @requires(TOKENS)
    async def pick(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Show the details of a token."""
        principal, selected = principal_of(request), picked_item(event)
        tokens, users = await self._load(principal)
        if selected not in {token.id for token in tokens}:
            raise NotFoundError("Token not found. It may have been removed.", param="token")
        return [HIDDEN, *_updates(tokens, users, "", selected, principal)[1:]]

    @requires(TOKENS)
    async def create(self, search: str | None, selected: str, request: gr.Request, *fields: Any) -> list[Any]:
        """Create a token and show it once."""
        principal, (name, user, role, days) = principal_of(request), fields
        try:
            token, text = await self._accounts.create_token(
                str(user or "") if manages_all(principal) else principal.id,
                str(name or ""),
                principal,
                role=role or None,
                expires_at=expires_at(days, now_ms()),
            )
        except HerdingError as error:
            failed = panel("bad", "Not created", el("p", error.message), role="alert")
            return [HIDDEN, gr.skip(), gr.skip(), failed]
        secret = new_token(f"Token '{token.name}' for {token.user}", text, _base_url(request))
        table = _updates(*await self._load(principal), search, selected, principal)[0]
        return [secret, table, "", ""]

    @requires(TOKENS)
    async def rotate_token(self, search: str | None, selected: str, request: gr.Request) -> list[Any]:
        """Replace the selected token with a new one."""
        principal = principal_of(request)
        token, text = await self._accounts.rotate(selected, principal)
        note = "The old token keeps working for 24 hours."
        secret = new_token(f"New token '{token.name}' for {token.user}", text, _base_url(request), note)
        return [secret, *_updates(*await self._load(principal), search, token.id, principal)]

    @requires(TOKENS)
    async def revoke_token(self, search: str | None, selected: str, request: gr.Request) -> list[Any]:
        """Revoke the selected token."""
        principal = principal_of(request)
        await self._accounts.revoke(selected, principal)
        return [HIDDEN, *_updates(*await self._load(principal), search, selected, principal)]

    @requires(ANY_ROLE)
    async def hide(self) -> Any:
        """Hide a token that is shown."""
        return HIDDEN


def manages_all(principal: Principal) -> bool:
    """Return whether the principal creates tokens for all users."""
    return principal.rights >= {USERS, ADMINISTER}


def token_table(tokens: Sequence[Token], view: TokenView, *, searched: bool) -> Markup:
    """Return the list of tokens, valid ones first."""
    if not tokens:
        return NO_MATCHES if searched else NO_TOKENS
    ordered = sorted(tokens, key=lambda token: (_is_over(token, view.now), -token.created_at))
    heads = ("Name", "User and role" if view.all_users else "Role", "Created", "Expires", "Last used", "Status")
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in heads)))
    body = el("tbody", *(_row(token, view) for token in ordered[:MAX_ROWS]))
    cut = f"First {MAX_ROWS} of {len(ordered):,}. Search to see others." if len(ordered) > MAX_ROWS else ""
    count = el("p", cut or plural(len(ordered), "token"), cls="muted count", role="status")
    return join([count, el("table", head, body, cls="entries people tokens", data_detail="token-detail")])


def _updates(
    tokens: Sequence[Token], users: Sequence[User] | None, search: str | None, selected: str, principal: Principal
) -> list[Any]:
    """Return updates of the list and of the details of the selected token."""
    disabled = frozenset(user.id for user in users or () if user.disabled)
    view = TokenView(now_ms(), selected, principal.token, ADMINISTER in principal.rights, disabled)
    found = [token for token in tokens if _matches(token, (search or "")[:MAX_SEARCH])]
    table = token_table(found, view, searched=bool(search and tokens))
    token = next((token for token in tokens if token.id == selected), None)
    if token is None:
        return [table, "", NOT_SELECTED, gr.update(visible=False), *ConfirmButton.show(False)]
    valid = not _is_over(token, view.now)
    return [table, token.id, _detail(token, view), gr.update(visible=valid), *ConfirmButton.show(valid)]


def _detail(token: Token, view: TokenView) -> Markup:
    session = el("p", chip("this session", "accent"), " You are logged in with this token.")
    table = key_values(
        [
            ("Token", el("code", f"hl_{token.id}")),
            ("User", token.user),
            ("Role", token.role or "user's role"),
            ("Created", datetime_tag(token.created_at)),
            ("Created by", token.created_by),
            ("Expires", datetime_tag(token.expires_at) if token.expires_at is not None else "never"),
            ("Revoked", datetime_tag(token.revoked_at) if token.revoked_at is not None else None),
            ("Last used", datetime_tag(token.last_used_at) if token.last_used_at is not None else "never"),
        ]
    )
    hint = None if _is_over(token, view.now) else el("p", ROTATE_HELP, cls="muted")
    head = el("div", el("h2", token.name), _status(token, view), cls="page-head")
    return join([head, session if token.id == view.own else None, table, hint])


def _is_over(token: Token, now: int) -> bool:
    return token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now)


def _matches(token: Token, search: str) -> bool:
    text = " ".join((token.name, token.user, token.role or "", token.id)).casefold()
    return all(word in text for word in search.casefold().split())


def _row(token: Token, view: TokenView) -> Markup:
    spoken = el("span", ": show details", cls="sr")
    pick = el("button", token.name, spoken, type="button", cls="row-pick", data_pick=token.id)
    session = chip("this session", "accent") if token.id == view.own else None
    role = token.role or ("user's role" if view.all_users else "your role")
    used = view.now - token.last_used_at if token.last_used_at is not None else None
    cells: list[tuple[str, Sequence[object]]] = [
        ("", [pick, el("div", el("code", f"hl_{token.id[:4]}…"), " ", session)]),
        ("", [el("div", token.user) if view.all_users else None, el("div", role, cls="muted")]),
        ("Created", [date_tag(token.created_at)]),
        ("Expires", [date_tag(token.expires_at) if token.expires_at is not None else "never"]),
        ("Last used", [el("span", "never", cls="muted") if used is None else el("span", _ago(used))]),
        ("", [_status(token, view)]),
    ]
    data = [el("td", *cell, data_label=label or None) for label, cell in cells]
    return el("tr", *data, data_row="", aria_current="true" if token.id == view.selected else None)


def _ago(passed: int) -> str:
    return "just now" if passed < 60_000 else f"{rough_duration(passed)} ago"


def _status(token: Token, view: TokenView) -> Markup:
    if token.revoked_at is not None:
        return chip("revoked", "bad")
    if _is_over(token, view.now):
        return chip("expired", "calm")
    if token.user in view.disabled:
        return chip("user disabled", "bad")
    if token.expires_at is not None and token.expires_at - view.now < SOON_MS:
        return chip("expires soon", "warn", title=f"in {rough_duration(token.expires_at - view.now)}")
    return chip("active", "good")


def _base_url(request: gr.Request) -> str:
    """Return the address of the app as the browser knows it."""
    return str(getattr(request, "base_url", ""))
