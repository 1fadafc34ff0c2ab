"""Users, tokens, limits and roles."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from unicodedata import category

from herding.access.operations import ADMINISTER, HISTORY, HISTORY_ALL, TOKENS, USAGE, USERS
from herding.access.privilege_check import excess_privileges
from herding.access.role_file import ADMIN, RoleNotes, Roles
from herding.access.roles import require
from herding.access.tokens import mint
from herding.errors import AccessError, LimitError, NotFoundError, UserError
from herding.people.authenticator import OPERATOR, Authenticator
from herding.prompts.variables import clean_parameter
from herding.serving.request import ActiveRequests
from herding.store import Store, now_ms
from herding.values import (
    DISCORD,
    MAX_DOLLARS,
    MAX_INTERVAL_HOURS,
    MAX_LIMIT,
    MAX_LIMITS,
    NANO,
    Limit,
    LimitUse,
    LoginSession,
    Principal,
    Token,
    User,
)
from herding.values.origins import MAX_ORIGINS, clean_origin

OVERLAP_MS = 24 * 3600 * 1000
"""The time a token stays valid after its rotation."""

RECHECK_SECONDS = 0.5
"""Seconds between two checks of the tokens of running requests."""

MINUTE_MS = 60_000
MAX_DELETIONS_PER_MINUTE = 10
MAX_TRACKED_ACCOUNTS = 10_000
MAX_NAME = 100
_USER = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.@-]{{0,63}}|{DISCORD}[0-9]{{1,20}}", re.ASCII)
_BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the writing direction of the text after a name."""

_RESERVED = frozenset({"local", "operator", "guest", "guests"})


class Accounts:
    """Manages accounts. Every method takes the principal who asks and raises AccessError if their role forbids it."""

    def __init__(
        self,
        *,
        store: Store,
        roles: Roles,
        authenticator: Authenticator,
        active: ActiveRequests,
        clock: Callable[[], int] = now_ms,
    ) -> None:
        self._store, self._roles, self._authenticator, self._clock = store, roles, authenticator, clock
        self._active = active
        self._changing = asyncio.Lock()
        self._forgotten: dict[str, list[int]] = {}

    async def users(self, who: Principal) -> tuple[User, ...]:
        """Return all users, by id."""
        _require_admin(who)
        return await self._store.users()

    async def user(self, user_id: str, who: Principal) -> User:
        """Return one user. Raises NotFoundError."""
        _require_admin(who)
        found = await self._store.user(user_id)
        if found is None:
            raise NotFoundError("User not found.", param="user")
        return found

    async def add_user(self, user: User, who: Principal) -> User:
        """Add a user with at most the privileges of `who`."""
        _require_admin(who)
        if not _USER.fullmatch(user.id) or user.id.lower() in _RESERVED:
            message = "A user id has 1 to 64 letters, digits, '.', '_', '-' or '@', and is not a reserved word."
            raise UserError(message, param="id")
        self._check_role(user.role)
        user = replace(self._checked(user, who), created_at=self._clock())
        await self._store.add_user(user)
        self._authenticator.forget_user(user.id)
        return user

    async def change_user(self, user: User, who: Principal) -> User:
        """Change a user except their id; takes effect at once, also for running requests.

        A role that no longer exists may stay, so that such a user can be disabled.
        """
        old = await self.user(user.id, who)
        self._check_privileges(who, old)
        if user.role != old.role:
            self._check_role(user.role)
        if user.id == who.id and (user.disabled or user.role != old.role):
            raise UserError("You cannot disable yourself or change your own role. Ask another admin.", param="id")
        user = replace(self._checked(user, who), created_at=old.created_at)
        async with self._changing:
            await self._store.update_user(user)
        self._authenticator.forget_user(user.id)
        if user.disabled:
            await self._authenticator.sessions.end(principal=user.id)
        if user.opt_out:
            self._active.drop_texts(user.id)
        return user

    async def tokens(self, who: Principal) -> tuple[Token, ...]:
        """Return the principal's tokens, or those of all users with the right `administer`; oldest first."""
        require(who, TOKENS)
        return await self._store.tokens(None if ADMINISTER in who.rights else who.id)

    async def create_token(
        self,
        user_id: str,
        name: str,
        who: Principal,
        *,
        role: str | None = None,
        expires_at: int | None = None,
        origins: Sequence[str] = (),
    ) -> tuple[Token, str]:
        """Return a new token and its text, which is not stored.

        It has at most the privileges of its user and of `who`, and expires no later than the token of `who`. `origins`
        are those of the web pages that may use it; without any, those of the settings.
        """
        require(who, TOKENS)
        user = await self._own_user(user_id, who)
        if role is not None:
            self._check_role(role)
        if user.id != who.id:  # else a lesser token could act as a user with more privileges
            self._check_privileges(who, user)
        self._check_privileges(who, user, role)
        secret = mint()
        token = Token(
            id=secret.id,
            user=user.id,
            name=_clean_name(name),
            created_at=self._clock(),
            created_by=who.id,
            expires_at=self._expiry(expires_at, who),
            role=role,
            origins=_clean_origins(origins),
        )
        await self._store.add_token(token, self._authenticator.digest(secret))
        await self._authenticator.load_origins()
        return token, secret.text

    async def revoke(self, token_id: str, who: Principal) -> None:
        """Revoke a token at once, with all requests that run under it."""
        token = await self._own_token(token_id, who)
        if token.user != who.id:
            self._check_privileges(who, await self.user(token.user, who))
        await self._store.revoke_token(token_id, self._clock())
        self._authenticator.forget_token(token_id)
        await self._authenticator.sessions.end(token=token_id)

    async def rotate(self, token_id: str, who: Principal) -> tuple[Token, str]:
        """Return a new token that replaces an old one, which stays valid for a day."""
        old = await self._own_token(token_id, who)
        now = self._clock()
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
            raise UserError("This token has expired or was revoked. Create a new one.", param="token_id")
        made = await self.create_token(
            old.user, old.name, who, role=old.role, expires_at=old.expires_at, origins=old.origins
        )
        await self._store.expire_token(token_id, now + OVERLAP_MS)
        self._authenticator.forget_token(token_id)
        return made

    async def sessions(self, who: Principal) -> tuple[LoginSession, ...]:
        """Return the browsers in which the principal is logged in, the newest login first."""
        require(who, USAGE)
        return await self._store.sessions_of(who.id) if who.token is not None else ()

    async def end_sessions(self, who: Principal) -> int:
        """Log the principal out in all browsers at once, this one included. Return the number of sessions."""
        require(who, USAGE)
        if who.token is None:
            raise UserError("Only users who log in with a token have sessions.")
        return await self._authenticator.sessions.end(principal=who.id)

    async def end_sessions_of(self, user_id: str, who: Principal) -> int:
        """Log a user out in all browsers at once. Their tokens stay valid. Return the number of sessions."""
        user = await self.user(user_id, who)
        if user.id != who.id:
            self._check_privileges(who, user)
        return await self._authenticator.sessions.end(principal=user.id)

    async def first_token(self) -> str | None:
        """Return an admin token at the first start, None later."""
        if await self._store.users():
            return None
        now = self._clock()
        await self._store.add_user(User("admin", "Administrator", ADMIN, created_at=now))
        secret = mint()
        token = Token(secret.id, "admin", "first token", now, "herding")
        await self._store.add_token(token, self._authenticator.digest(secret))
        return secret.text

    async def me(self, who: Principal) -> User | None:
        """Return the principal's user; None for guests and for an admin without a user."""
        require(who, USAGE)
        has_user = who.token not in (None, OPERATOR) or who.id.startswith(DISCORD)
        return await self._store.user(who.id) if has_user else None

    async def opt_out(self, opted_out: bool, who: Principal, *, delete_drafts: bool = False) -> User:
        """Choose whether the content of this user's requests and drafts is stored, from now on.

        `delete_drafts` also deletes their stored drafts.
        """
        require(who, USAGE)
        async with self._changing:  # else this would undo a concurrent change by an admin
            user = await self.me(who)
            if user is None and who.id.startswith(DISCORD):  # they have a user from their first choice on
                user = User(who.id, who.id, who.role, created_at=self._clock())
                await self._store.add_user(user)
            if user is None:
                raise UserError("Only users who have a token can choose this.", param="opt_out_history_content")
            changed = replace(user, opt_out=opted_out)
            await self._store.update_user(changed)
        self._authenticator.forget_user(user.id)
        if opted_out:
            self._active.drop_texts(user.id)
        if delete_drafts:
            await self._store.erase_drafts(user.id)
        return changed

    async def stored_drafts(self, who: Principal) -> int:
        """Return the number of the principal's stored drafts."""
        require(who, USAGE)
        return len(await self._store.drafts(who.id))

    async def forget_drafts(self, who: Principal) -> int:
        """Delete all drafts of the principal, and return their number. Raises LimitError as `forget` does."""
        require(who, USAGE)
        self._check_deletion_rate(who.account or who.id)
        return await self._store.erase_drafts(who.id)

    async def usage(self, who: Principal, *, user: str | None = None) -> tuple[LimitUse, ...]:
        """Return how much of each of the principal's limits is used; or of those of another user.

        That takes the right to see the requests of all users. Raises NotFoundError for an unknown user.
        """
        require(who, USAGE)
        if user in (None, who.id):
            return await self._store.usage(who.account or who.id, who.limits)
        require(who, HISTORY_ALL)
        found = await self._store.user(str(user))
        if found is None:
            if user in (await self._store.facets(principal=user)).users:  # a guest, or an admin without a user
                return ()
            raise NotFoundError("User not found.", param="user")
        limits = self._roles.principal(found.id, found.role, limits=found.limits).limits
        return await self._store.usage(found.id, limits)

    async def forget(self, request_ids: Sequence[str] | None, who: Principal) -> int:
        """Delete the content of the principal's own requests; with None of all of them, and their drafts.

        Returns the number of requests. Counts, times and stars stay; running requests store no content when they end.
        Ids of other users' requests are ignored. Raises LimitError above 10 deletions per minute, since each one
        rewrites the database.
        """
        require(who, HISTORY)
        self._check_deletion_rate(who.account or who.id)
        self._active.drop_texts(who.id, request_ids)
        return await self._store.erase_content(principal=who.id, request_ids=request_ids)

    async def roles(self, who: Principal) -> RoleNotes:
        """Return the roles file and its problem, if it has one."""
        _require_admin(who)
        return await self._roles.notes()

    def role_names(self, who: Principal) -> tuple[str, ...]:
        """Return the names of the roles that `who` may give to a token."""
        require(who, TOKENS)
        given = (self._roles.principal("", name, limits=who.limits) for name in self._roles.names)
        return tuple(role.role for role in given if not excess_privileges(role, who))

    async def save_roles(self, text: str, seen: str, who: Principal) -> RoleNotes:
        """Write the roles file, which takes effect at once; `seen` is the digest of the text that was edited.

        Raises UserError for an invalid text, for one that takes from `who` the right to edit it, and if the file was
        changed meanwhile.
        """
        _require_admin(who)
        if who.role != ADMIN and (more := excess_privileges(self._roles.principal("", ADMIN), who)):
            raise AccessError(f"Editing roles needs all privileges of an admin; you lack {more}.")
        return await self._roles.save(text, seen, keeps=who.role)

    async def watch(self) -> None:
        """Revoke, within a second, the running requests of principals whose token is no longer valid; never returns."""
        while True:
            await asyncio.sleep(RECHECK_SECONDS)
            for run in self._active:
                if not await self._authenticator.still_valid(run.request.principal):
                    run.revoke()

    def _check_deletion_rate(self, account: str) -> None:
        now = self._clock()
        recent = [at for at in self._forgotten.get(account, ()) if now - at < MINUTE_MS]
        if len(recent) >= MAX_DELETIONS_PER_MINUTE:
            message = "Too many deletions. Wait a minute, or delete the content of all your requests at once."
            raise LimitError(message, retry_after=(recent[0] + MINUTE_MS - now) / 1000)
        if len(self._forgotten) >= MAX_TRACKED_ACCOUNTS:
            self._forgotten.clear()
        self._forgotten[account] = [*recent, now]

    def _checked(self, user: User, who: Principal) -> User:
        """Return a user with a clean name. Raises UserError for invalid fields other than the role."""
        if user.id.lower() == ADMIN and user.role != ADMIN:  # the operator's requests are under that id
            raise UserError(f"The user '{user.id}' is always an admin. Choose another id.", param="role")
        _check_limits(user.limits)
        self._check_privileges(who, user)
        return replace(user, name=_clean_name(user.name or user.id))

    def _check_role(self, role: str) -> None:
        if role not in self._roles.names:
            raise UserError(f"Role not found. Roles: {', '.join(self._roles.names)}.", param="role")

    def _check_privileges(self, who: Principal, user: User, role: str | None = None) -> None:
        """Raise AccessError if a user, or a token of theirs with its own role, has more privileges than `who`."""
        whole = self._roles.principal(user.id, user.role, limits=user.limits)
        wanted = self._roles.principal(user.id, role, limits=whole.limits) if role else whole
        if role and (more := excess_privileges(wanted, whole)):
            raise AccessError(f"A token cannot have more privileges than its user. The role '{role}' adds {more}.")
        if wanted.role == ADMIN and who.role != ADMIN:
            raise AccessError("Only an admin can make an admin.")
        if more := excess_privileges(wanted, who):
            raise AccessError(f"You cannot grant or change privileges that you do not have: {more}.")

    def _expiry(self, expires_at: int | None, who: Principal) -> int | None:
        if expires_at is not None and expires_at <= self._clock():
            raise UserError("The expiry is in the past. Choose a later time.", param="expires_at")
        if who.expires_at is None:
            return expires_at
        if expires_at is not None and expires_at > who.expires_at:
            raise AccessError("A token cannot expire later than your own token. Choose an earlier time.")
        return who.expires_at if expires_at is None else expires_at

    async def _own_user(self, user_id: str, who: Principal) -> User:
        """Return a user whose tokens `who` may manage: themselves, or any user with the right `administer`."""
        may = user_id == who.id or ADMINISTER in who.rights
        user = await self._store.user(user_id) if may else None
        if user is None:
            raise NotFoundError("User not found.", param="user")
        return user

    async def _own_token(self, token_id: str, who: Principal) -> Token:
        require(who, TOKENS)
        found = await self._store.credentials(token_id)
        if found is None or (found[0].user != who.id and ADMINISTER not in who.rights):
            raise NotFoundError("Token not found.", param="token_id")
        return found[0]


def _require_admin(who: Principal) -> None:
    require(who, USERS)
    require(who, ADMINISTER)


def _clean_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """Return valid origins. Raises UserError."""
    if len(origins) > MAX_ORIGINS:
        raise UserError(f"A token has at most {MAX_ORIGINS} origins.", param="origins")
    try:
        return tuple(dict.fromkeys(map(clean_origin, origins)))
    except ValueError as error:
        raise UserError(f"{error}.", param="origins") from None


def _clean_name(name: str) -> str:
    said = " ".join(clean_parameter(name, "name", subject="A name").split())
    if not 0 < len(said) <= MAX_NAME or any(category(sign) == "Cc" or sign in _BIDI_CONTROLS for sign in said):
        message = f"A name has 1 to {MAX_NAME} characters, without control characters."
        raise UserError(message, param="name")
    if not any(category(sign)[0] in "LNPS" for sign in said):
        raise UserError("A name needs at least one visible character.", param="name")
    return said


def _check_limits(limits: Sequence[Limit]) -> None:
    if len(limits) > MAX_LIMITS:
        raise UserError(f"A user has at most {MAX_LIMITS} limits.", param="limits")
    for limit in limits:
        fits = limit.type in ("request", "token", "cost") and 0 < limit.interval_hours <= MAX_INTERVAL_HOURS
        most = MAX_DOLLARS * NANO if limit.type == "cost" else MAX_LIMIT
        if not fits or not 0 <= limit.limit <= most:
            message = (
                f"A limit is of 'request', 'token' or 'cost', for more than 0 and up to {MAX_INTERVAL_HOURS} hours, "
                f"and of 0 to {MAX_LIMIT:,}, or ${MAX_DOLLARS:,}."
            )
            raise UserError(message, param="limits")
