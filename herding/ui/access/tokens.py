"""The tokens of the Access tab: the list, one token in full, and creating, rotating and revoking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from herding.access.operations import ADMINISTER, TOKENS, USERS
from herding.errors import NotFoundError
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.ui.access.new_token import SECRET, expires_at, new_token, token_form
from herding.ui.access.parts import MAX_ROWS, drawer_head, matches, row_count, search_field
from herding.ui.engineer.code_panel import base_url
from herding.ui.kit.fields import button, confirm_button, row_name
from herding.ui.kit.format import (
    chip,
    date_tag,
    datetime_tag,
    el,
    empty_state,
    join,
    key_values,
    rough_duration,
)
from herding.ui.kit.live import out_of_band
from herding.ui.kit.tables import head_row
from herding.ui.kit.views import Call, Reply, fragment
from herding.values import Principal, Token, User
from herding.values.durations import DAY_MS

SOON_MS = 7 * DAY_MS
DETAIL = "token-detail"
NO_TOKENS = empty_state("No tokens yet", "Create a token to give a program or another machine access.")
NO_MATCHES = empty_state("No matching tokens", "Change the search to see more.")
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


class TokenRoutes:
    """The routes of the section; the tab inherits them.

    Only `create` and `rotate` return a token, in the body of a POST.
    """

    _orchestrator: Orchestrator

    @fragment("GET", "/sections/tokens", TOKENS)
    async def tokens_section(self, call: Call) -> Markup:
        """Return the section with the token that the address names."""
        who, accounts = call.principal, self._orchestrator.accounts
        tokens, users = await self._load_tokens(who)
        enabled = None if users is None else [user for user in users if not user.disabled]
        form = token_form(who, enabled, accounts.role_names(who), now_ms())
        view = _view(who, users, call.text("token"))
        chosen = next((token for token in tokens if token.id == view.selected), None)
        listing = el(
            "div",
            search_field("Name, user or role", "token-search", "ui/access/tokens", "token-list", call.text("q")),
            el("div", _listing(tokens, view, call.text("q")), id="token-list"),
            cls="access-list",
        )
        aside = el("aside", token_detail(chosen, view) if chosen else None, id=DETAIL, cls="detail",
                   aria_label="Details of the token", data_drawer="token")  # fmt: skip
        new = el("section", el("h2", "New token"), form, cls="access-card", aria_label="New token")
        return join([el("div", id=SECRET), new, el("div", listing, aside, cls="split-view drawer")])

    async def _load_tokens(self, who: Principal) -> tuple[Sequence[Token], Sequence[User] | None]:
        """Return the tokens that the principal manages; for admins also the users."""
        accounts = self._orchestrator.accounts
        return await accounts.tokens(who), await accounts.users(who) if manages_all(who) else None

    @fragment("GET", "/tokens", TOKENS)
    async def list_tokens(self, call: Call) -> Reply:
        """Return the tokens that match the search, which the address keeps."""
        tokens, users = await self._load_tokens(call.principal)
        selected = call.in_address("token")
        shown = _listing(tokens, _view(call.principal, users, selected), call.text("q"))
        return Reply(shown, address={"q": call.text("q")})

    @fragment("GET", "/tokens/{token}", TOKENS)
    async def open_token(self, call: Call) -> Reply:
        """Return the details of a token."""
        tokens, users = await self._load_tokens(call.principal)
        found = _find(tokens, call.path["token"])
        return Reply(token_detail(found, _view(call.principal, users, found.id)), address={"token": found.id})

    @fragment("POST", "/tokens", TOKENS)
    async def create_token(self, call: Call) -> Reply:
        """Create a token and show it once."""
        who = call.principal
        token, text = await self._orchestrator.accounts.create_token(
            call.text("user") if manages_all(who) else who.id,
            call.text("name"),
            who,
            role=call.text("role") or None,
            expires_at=expires_at(call.text("days"), now_ms()),
        )
        secret = new_token(f"Token '{token.name}' for {token.user}", text, base_url(call.headers, call.app_url))
        listing = await self._changed(call, call.in_address("token"))
        return Reply(join([secret, listing]), events={"token-created": {}})

    @fragment("POST", "/tokens/{token}/rotate", TOKENS)
    async def rotate_token(self, call: Call) -> Reply:
        """Replace a token with a new one, which is shown once."""
        token, text = await self._orchestrator.accounts.rotate(call.path["token"], call.principal)
        note, base = "The old token keeps working for 24 hours.", base_url(call.headers, call.app_url)
        secret = new_token(f"New token '{token.name}' for {token.user}", text, base, note)
        return Reply(join([secret, await self._changed(call, token.id)]), address={"token": token.id})

    @fragment("POST", "/tokens/{token}/revoke", TOKENS)
    async def revoke_token(self, call: Call) -> Reply:
        """Revoke a token."""
        await self._orchestrator.accounts.revoke(call.path["token"], call.principal)
        return Reply(await self._changed(call, call.path["token"]), notice="Token revoked.")

    async def _changed(self, call: Call, selected: str) -> Markup:
        """Return the list and the details as of now."""
        tokens, users = await self._load_tokens(call.principal)
        view = _view(call.principal, users, selected)
        chosen = next((token for token in tokens if token.id == selected), None)
        detail = token_detail(chosen, view) if chosen else Markup()
        return out_of_band({"token-list": _listing(tokens, view, call.text("q")), DETAIL: detail})


def manages_all(principal: Principal) -> bool:
    """Return whether the principal creates tokens for all users."""
    return principal.rights >= {USERS, ADMINISTER}


def _view(who: Principal, users: Sequence[User] | None, selected: str) -> TokenView:
    disabled = frozenset(user.id for user in users or () if user.disabled)
    return TokenView(now_ms(), selected, who.token, ADMINISTER in who.rights, disabled)


def _find(tokens: Sequence[Token], token_id: str) -> Token:
    found = next((token for token in tokens if token.id == token_id), None)
    if found is None:
        raise NotFoundError("Token not found. It may have been removed.", param="token")
    return found


def _listing(tokens: Sequence[Token], view: TokenView, search: str) -> Markup:
    found = [token for token in tokens if matches(search, token.name, token.user, token.role or "", token.id)]
    return token_table(found, view, searched=bool(search and tokens))


def token_table(tokens: Sequence[Token], view: TokenView, *, searched: bool) -> Markup:
    """Return the list of tokens, valid ones first."""
    if not tokens:
        return NO_MATCHES if searched else NO_TOKENS
    ordered = sorted(tokens, key=lambda token: (_is_over(token, view.now), -token.created_at))
    heads = ("Name", "User and role" if view.all_users else "Role", "Created", "Expires", "Last used", "Status")
    head = head_row(*heads)
    body = el("tbody", *(_row(token, view) for token in ordered[:MAX_ROWS]))
    count = row_count(len(ordered), "token")
    return join([count, el("table", head, body, cls="rows access-rows", aria_label="Tokens")])


def token_detail(token: Token, view: TokenView) -> Markup:
    """Return a token with the buttons that rotate and revoke it, as long as it is valid."""
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
    actions = None
    if not _is_over(token, view.now):
        url, common = f"ui/access/tokens/{token.id}", dict[str, Any](hx_include="#token-search")
        rotate = button("Rotate token", id="token-rotate", hx_post=f"{url}/rotate", hx_target=f"#{SECRET}", **common)
        revoke = confirm_button("Revoke token", REVOKE_QUESTION, "Revoke", id="token-revoke", hx_post=f"{url}/revoke",
                                hx_target=f"#{SECRET}", **common)  # fmt: skip
        actions = join([el("p", ROTATE_HELP, cls="muted"), el("div", rotate, revoke, cls="answers")])
    head = drawer_head(token.name, _status(token, view))
    return join([head, session if token.id == view.own else None, table, actions])


def _is_over(token: Token, now: int) -> bool:
    return token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= now)


def _row(token: Token, view: TokenView) -> Markup:
    name = row_name(
        token.name,
        data_row=token.id,
        hx_get=f"ui/access/tokens/{token.id}",
        hx_target=f"#{DETAIL}",
    )
    session = chip("this session", "accent") if token.id == view.own else None
    role = token.role or ("user's role" if view.all_users else "your role")
    used = view.now - token.last_used_at if token.last_used_at is not None else None
    cells: list[tuple[str, Sequence[object]]] = [
        ("", [name, el("div", el("code", f"hl_{token.id[:4]}…"), " ", session)]),
        ("", [el("div", token.user) if view.all_users else None, el("div", role, cls="muted")]),
        ("Created", [date_tag(token.created_at)]),
        ("Expires", [date_tag(token.expires_at) if token.expires_at is not None else "never"]),
        ("Last used", [el("span", "never", cls="muted") if used is None else el("span", _ago(used))]),
        ("", [_status(token, view)]),
    ]
    data = [el("td", *cell, data_label=label or None) for label, cell in cells]
    return el("tr", *data, aria_current="true" if token.id == view.selected else None)


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
