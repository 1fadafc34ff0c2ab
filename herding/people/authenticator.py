"""Authentication: the principal of a token, a session cookie, or neither."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from herding.access import sessions
from herding.access.keys import derive_key
from herding.access.login_throttle import LoginThrottle
from herding.access.privilege_check import excess_privileges
from herding.access.role_file import ADMIN, GUEST, Roles
from herding.access.sessions import Session, new_guest, new_session
from herding.access.tokens import Secret, parse
from herding.errors import AuthenticationError, StoreError
from herding.people.login_sessions import LoginSessions
from herding.store import Store, now_ms
from herding.values import DISCORD, LoginSession, Principal, Token, User

CACHE_SECONDS = 2.0
"""The time a token is trusted without asking the database. A revocation by another process takes that long."""

MAX_CACHED = 10_000
FLUSH_SECONDS = 1.0
ORIGINS_SECONDS = 10.0
"""Interval at which the origins of tokens are read, which other processes may have changed."""

OPERATOR = "operator"
"""The id of the token that the operator set."""

_NOT_VALID = "This token is not valid. Ask an admin for a new one."
SESSION_ENDED = "Your session has ended, or its token was revoked. Log in again."


@dataclass(slots=True)
class _CachedToken:
    """A token that was read from the database at `at` (seconds), and its principal under an edition of the roles."""

    token: Token
    digest: bytes
    user: User
    at: float
    principal: Principal
    edition: int


class Authenticator:
    """Finds the principal of each request.

    With `trusts_all`, a request without token or session is the local admin's, else a guest's. An invalid token is
    refused and never treated as none. `address` is always the address of the client.
    """

    def __init__(
        self,
        *,
        store: Store,
        roles: Roles,
        key: bytes,
        trusts_all: bool = False,
        admin_token: str | None = None,
        clock: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._roles = store, roles
        self._clock, self._monotonic = clock, monotonic
        self.trusts_all = trusts_all
        self._token_key, self._session_key = derive_key(key, "tokens"), derive_key(key, "sessions")
        self._admin_digest = self.operator_digest(admin_token) if admin_token else None
        self._cache: dict[str, _CachedToken] = {}
        self._discord: dict[str, tuple[User | None, float]] = {}
        self._local: tuple[Principal, int] | None = None
        self.token_origins, self._origins_at = frozenset[str](), monotonic()
        self._invalidations = 0
        self._used: dict[str, int] = {}
        self._failures = LoginThrottle(monotonic)
        self.sessions = LoginSessions(store=store, clock=clock, monotonic=monotonic)

    async def authenticate_token(self, text: str, address: str) -> Principal:
        """Return the principal of a token. Raises the same AuthenticationError for every token that is not valid.

        Raises LimitError for an invalid token of an address that sent too many of them; a valid one always passes,
        since a client does not choose with whom it shares an address.
        """
        if self._is_operator(text):
            return self._operator()
        secret = parse(text)
        digest = secret.digest(self._token_key) if secret else b""
        known = await self._find(secret.id) if secret else None
        if known is None or not self._valid(known) or not hmac.compare_digest(digest, known.digest):
            self._failures.check(address)
            self._failures.record_failure(address)
            raise AuthenticationError(_NOT_VALID)
        self._used[known.token.id] = self._clock()
        return known.principal

    async def authenticate_session(self, cookie: str, address: str) -> Principal | None:
        """Return the principal of a cookie; None if it is not ours. Raises AuthenticationError if its login ended."""
        session = sessions.read(cookie, self._session_key, self._clock() // 1000)
        if session is None or (session.kind == "guest" and self.trusts_all):
            return None
        if session.kind in ("guest", "visitor"):
            return self._guest(session, address)
        stored = await self.sessions.find(session.digest)
        if stored is None:
            raise AuthenticationError(SESSION_ENDED)
        if session.kind == "operator":
            if not self._is_of_operator(stored):
                raise AuthenticationError(SESSION_ENDED)
            return replace(self._operator(), session=stored.digest)
        known = await self._find(stored.token)
        if known is None or not self._valid(known):
            raise AuthenticationError(SESSION_ENDED)
        self._used[known.token.id] = self._clock()
        return replace(known.principal, session=stored.digest)

    def authenticate_anonymous(self, address: str) -> tuple[Principal, Session | None]:
        """Return the principal of a request without credentials, and the session by which they are recognised."""
        if self.trusts_all:
            if self._local is None or self._local[1] != self._roles.edition:
                self._local = self._roles.principal("local", ADMIN), self._roles.edition
            return self._local[0], None
        session = new_guest()
        return self._guest(session, address), session

    def authenticate_guest(self, address: str) -> Principal:
        """Return a new guest, for pages of other origins whose cookies are ignored."""
        return self._guest(new_guest(), address)

    async def authenticate_discord(self, user_id: int, role: str) -> Principal:
        """Return the principal of a user whom Discord has authenticated, with a role.

        A user of that id that an admin added, or that chose to opt out, has the role, limits and choice stored there.
        Raises AuthenticationError for one that is disabled.
        """
        principal_id = f"{DISCORD}{user_id}"
        user = await self._discord_user(principal_id)
        if user is None:
            return self._roles.principal(principal_id, role)
        if user.disabled:
            raise AuthenticationError("Your access is disabled. Ask an admin.")
        return self._roles.principal(user.id, user.role, limits=user.limits, opt_out=user.opt_out)

    async def create_session(self, who: Principal) -> Session:
        """Open a session for a principal who logged in with a token."""
        if who.token is None:
            raise ValueError("only a token opens a session")
        of_operator = who.token == OPERATOR
        session = new_session("operator" if of_operator else "token")
        token = self._operator_token_id() if of_operator else who.token
        await self.sessions.open(session, principal=who.id, token=token)
        return session

    async def end_session(self, cookie: str) -> None:
        """End the session of a cookie, if it has one that is stored."""
        session = sessions.read(cookie, self._session_key, self._clock() // 1000)
        if session is not None and session.kind in ("token", "operator"):
            await self.sessions.end(digest=session.digest)

    def sign_session(self, session: Session) -> str:
        """Return the value of the cookie of a session."""
        return sessions.sign(session, self._session_key, self._clock() // 1000)

    async def still_valid(self, who: Principal) -> bool:
        """Return whether a principal is still logged in with the rights of their token, which may have changed."""
        if who.token is None and not who.id.startswith(DISCORD):
            return True
        try:
            if who.token is None:
                user = await self._discord_user(who.id)
                return user is None or not user.disabled
            if who.session is not None and await self.sessions.find(who.session) is None:
                return False
            if who.token == OPERATOR:
                return True
            known = await self._find(who.token)
        except StoreError:
            return True  # running requests survive an outage of the database; new ones are refused
        if known is None or not self._valid(known):
            return False
        return known.principal.role == who.role and known.principal.rights >= who.rights

    def forget_token(self, token_id: str) -> None:
        """Remove a token from the cache."""
        self._invalidations += 1
        self._cache.pop(token_id, None)

    def forget_user(self, user_id: str) -> None:
        """Remove the tokens of a user from the cache."""
        self._invalidations += 1
        self._discord.pop(user_id, None)
        for token_id in [token_id for token_id, known in self._cache.items() if known.user.id == user_id]:
            del self._cache[token_id]

    def digest(self, secret: Secret) -> bytes:
        """Return the keyed hash under which a token is stored."""
        return secret.digest(self._token_key)

    async def keep(self) -> None:
        """Store the times of last use every second, as long as the app runs."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()
            if self._monotonic() - self._origins_at > ORIGINS_SECONDS:
                await self.load_origins()

    async def load_origins(self) -> None:
        """Read the origins of all valid tokens. After an error of the database the earlier ones stay."""
        try:
            self.token_origins = await self._store.token_origins(self._clock())
        except StoreError:
            return
        finally:
            self._origins_at = self._monotonic()

    def page_may_use(self, token_id: str, origin: str) -> bool | None:
        """Return whether a page of an origin may use a token; None if the token has no origins of its own."""
        known = self._cache.get(token_id)
        allowed = known.token.origins if known else ()
        return (origin in allowed or "*" in allowed) if allowed else None

    async def flush(self) -> None:
        """Store the times of last use. After an error of the database they are stored with the next call."""
        await self.sessions.flush()
        used, self._used = self._used, {}
        try:
            await self._store.record_token_use(used)
        except StoreError:
            self._used = used | self._used

    async def _find(self, token_id: str) -> _CachedToken | None:
        now = self._monotonic()
        known = self._cache.get(token_id)
        if known is not None and now - known.at <= CACHE_SECONDS:
            edition = self._roles.edition
            if known.edition != edition:
                known.principal, known.edition = self._principal(known.token, known.user), edition
            return known
        invalidations = self._invalidations
        found = await self._store.credentials(token_id)
        if found is None:
            self._cache.pop(token_id, None)
            return None
        token, digest, user = found
        edition = self._roles.edition
        fresh = _CachedToken(token, digest, user, now, self._principal(token, user), edition)
        if len(self._cache) >= MAX_CACHED:
            self._cache.clear()
        if invalidations == self._invalidations:  # else the row that was read may be outdated
            self._cache[token_id] = fresh
        return fresh

    def _valid(self, known: _CachedToken) -> bool:
        token = known.token
        if token.revoked_at is not None or known.user.disabled:
            return False
        return token.expires_at is None or token.expires_at > self._clock()

    def _principal(self, token: Token, user: User) -> Principal:
        """Return the principal of a token: its user, or with its own role less, under the limits of both roles."""
        whole = self._roles.principal(user.id, user.role, limits=user.limits, opt_out=user.opt_out)
        whole = replace(whole, token=token.id, expires_at=token.expires_at)
        if token.role is None:
            return whole
        less = self._roles.principal(user.id, token.role, limits=whole.limits, opt_out=user.opt_out)
        less = replace(less, token=token.id, expires_at=token.expires_at)
        if excess_privileges(less, whole):  # the user has a lesser role than this token now
            return replace(less, rights=frozenset(), nodes=(), prompts=(), collections=(), tabs=())
        return less

    async def _discord_user(self, principal_id: str) -> User | None:
        """Return the stored user of Discord, who may be some seconds old, or None."""
        now, known = self._monotonic(), self._discord.get(principal_id)
        if known is not None and now - known[1] <= CACHE_SECONDS:
            return known[0]
        user = await self._store.user(principal_id)
        if len(self._discord) >= MAX_CACHED:
            self._discord.clear()
        self._discord[principal_id] = user, now
        return user

    def _guest(self, session: Session, address: str) -> Principal:
        return replace(self._roles.principal(f"guest:{session.id}", GUEST), account=self._account(address))

    def _account(self, address: str) -> str:
        """Return the account whose limits guests of an address share; it does not reveal the address."""
        return f"guests:{hmac.new(self._session_key, address.encode(), sha256).hexdigest()[:16]}"

    def _operator(self) -> Principal:
        return self._roles.principal("admin", ADMIN, token=OPERATOR)

    def _is_operator(self, text: str) -> bool:
        given = self.operator_digest(text)
        return self._admin_digest is not None and hmac.compare_digest(given, self._admin_digest)

    def _operator_token_id(self) -> str:
        """Return an id that changes with the operator's token, so that sessions end with it."""
        return f"{OPERATOR}:{hmac.new(self._session_key, self._admin_digest or b'', sha256).hexdigest()[:32]}"

    def _is_of_operator(self, stored: LoginSession) -> bool:
        return self._admin_digest is not None and hmac.compare_digest(stored.token, self._operator_token_id())

    @staticmethod
    def operator_digest(text: str) -> bytes:
        """Return a hash of fixed length, so that comparing takes the same time for all tokens."""
        return sha256(text.encode(errors="replace")).digest()
