"""Who is at the door: from a token, a session or nothing at all to a principal."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256

from herding.access import sessions
from herding.access.keys import derived
from herding.access.login_throttle import LoginThrottle
from herding.access.privilege_check import beyond
from herding.access.role_file import ADMIN, GUEST, Roles
from herding.access.sessions import Session, new_guest
from herding.access.tokens import Secret, parse
from herding.errors import AuthenticationError, StoreError
from herding.store import Store, now_ms
from herding.values import Principal, Token, User

REMEMBER_SECONDS = 2.0
"""How long a token is believed without asking the database; a revocation by another process takes that long."""

REMEMBERED = 10_000
FLUSH_SECONDS = 1.0
OPERATOR = "operator"
"""In the place of a token's id, for the token that the operator set."""

_WRONG = "This token is not valid. Ask whoever gave it to you for a new one."
_OVER = "Your session is over, or its token was revoked. Log in again."


@dataclass(slots=True)
class _Known:
    """A token that was looked up at `at` (seconds), and whom it makes by which edition of the roles."""

    token: Token
    digest: bytes
    user: User
    at: float
    principal: Principal
    edition: int
    proven: bool = False


class Authenticator:
    """Resolves principals.

    Where `trusts_all`, whoever comes without token or session is the admin; else they are guests. A wrong token is
    refused, never taken for a guest. `address` is always where a caller comes from.
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
        self._token_key, self._session_key = derived(key, "tokens"), derived(key, "sessions")
        self._admin_digest = self.digest_of_operator(admin_token) if admin_token else None
        self._known: dict[str, _Known] = {}
        self._forgotten = 0
        self._used: dict[str, int] = {}
        self._failures = LoginThrottle(monotonic)

    # From the outside to a principal

    async def by_token(self, text: str, address: str) -> Principal:
        """The principal of a token; AuthenticationError for any that is not valid now, in the same words for all.

        LimitError for an address that tried too many wrong ones.
        """
        secret = parse(text)
        digest = secret.digest(self._token_key) if secret else b""
        if not self._is_proven(secret, digest):
            self._failures.check(address)
        if self._is_operator(text):
            return self._operator()
        known = await self._find(secret.id) if secret else None
        if known is None or not self._valid(known) or not hmac.compare_digest(digest, known.digest):
            self._failures.check(address)  # many tries at once have passed the first check together
            self._failures.note(address)
            raise AuthenticationError(_WRONG)
        known.proven = True
        self._used[known.token.id] = self._clock()
        return known.principal

    async def by_session(self, cookie: str, address: str) -> Principal | None:
        """The principal of a cookie; None where it says nothing, AuthenticationError where its login is over."""
        session = sessions.read(cookie, self._session_key, self._clock() // 1000)
        if session is None or (session.kind == "guest" and self.trusts_all):
            return None
        if session.kind in ("guest", "visitor"):
            return self._guest(session, address)
        if session.kind == "operator":
            if self._admin_digest is None or not hmac.compare_digest(session.id, self._mark_of_operator()):
                raise AuthenticationError(_OVER)
            return self._operator()
        known = await self._find(session.id)
        if known is None or not self._valid(known):
            raise AuthenticationError(_OVER)
        self._used[known.token.id] = self._clock()
        return known.principal

    def unknown(self, address: str) -> tuple[Principal, Session | None]:
        """Somebody who brings nothing, and the session that lets us know them again."""
        if self.trusts_all:
            return self._roles.principal("local", ADMIN), None
        session = new_guest()
        return self._guest(session, address), session

    def stranger(self, address: str) -> Principal:
        """A page of another origin: a guest whatever the browser may hold for us."""
        return self._guest(new_guest(), address)

    # Sessions

    def session_of(self, who: Principal) -> Session:
        """The session of somebody who came in with a token."""
        if who.token == OPERATOR:
            return Session("operator", self._mark_of_operator())
        if who.token is None:
            raise ValueError("only a token opens a session")
        return Session("token", who.token)

    def cookie(self, session: Session) -> str:
        """The value of the cookie that keeps a session."""
        return sessions.write(session, self._session_key, self._clock() // 1000)

    # While somebody is inside

    async def still_valid(self, who: Principal) -> bool:
        """Whether somebody who came in may stay: their token may be over, their user disabled or made weaker."""
        if who.token is None or who.token == OPERATOR:
            return True
        try:
            known = await self._find(who.token)
        except StoreError:
            return True  # nobody is thrown out because the database is away; who comes in anew is refused
        if known is None or not self._valid(known):
            return False
        return known.principal.role == who.role and known.principal.rights >= who.rights

    def forget_token(self, token_id: str) -> None:
        """What was remembered of a token is no longer so."""
        self._forgotten += 1
        self._known.pop(token_id, None)

    def forget_user(self, user_id: str) -> None:
        """What was remembered of a user's tokens is no longer so."""
        self._forgotten += 1
        for token_id in [token_id for token_id, known in self._known.items() if known.user.id == user_id]:
            del self._known[token_id]

    def digest(self, secret: Secret) -> bytes:
        """The keyed hash under which a token is stored."""
        return secret.digest(self._token_key)

    async def keep(self) -> None:
        """Runs as long as the app: writes down when tokens were used last."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Write down when tokens were used last; what the database does not take now is tried again."""
        used, self._used = self._used, {}
        try:
            await self._store.record_token_use(used)
        except StoreError:
            self._used = used | self._used

    # Inside

    async def _find(self, token_id: str) -> _Known | None:
        now = self._monotonic()
        known = self._known.get(token_id)
        if known is not None and now - known.at <= REMEMBER_SECONDS:
            edition = self._roles.edition
            if known.edition != edition:
                known.principal, known.edition = self._principal(known.token, known.user), edition
            return known
        forgotten = self._forgotten
        found = await self._store.credentials(token_id)
        if found is None:
            self._known.pop(token_id, None)
            return None
        token, digest, user = found
        edition = self._roles.edition
        proven = known is not None and known.proven and known.digest == digest
        fresh = _Known(token, digest, user, now, self._principal(token, user), edition, proven)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        if forgotten == self._forgotten:  # else what was read may be what had to be forgotten
            self._known[token_id] = fresh
        return fresh

    def _is_proven(self, secret: Secret | None, digest: bytes) -> bool:
        """Whether this very token was right before, so that it is no guess."""
        held = self._known.get(secret.id) if secret else None
        return held is not None and held.proven and hmac.compare_digest(digest, held.digest)

    def _valid(self, known: _Known) -> bool:
        token = known.token
        if token.revoked_at is not None or known.user.disabled:
            return False
        return token.expires_at is None or token.expires_at > self._clock()

    def _principal(self, token: Token, user: User) -> Principal:
        """Whom a token makes: its user, or less where it has a role of its own; both roles' limits hold then."""
        whole = self._roles.principal(user.id, user.role, limits=user.limits, opt_out=user.opt_out)
        whole = replace(whole, token=token.id, expires_at=token.expires_at)
        if token.role is None:
            return whole
        less = self._roles.principal(user.id, token.role, limits=whole.limits, opt_out=user.opt_out)
        less = replace(less, token=token.id, expires_at=token.expires_at)
        if beyond(less, whole):  # the user was made weaker than this token since
            return replace(less, rights=frozenset(), nodes=(), prompts=(), tabs=())
        return less

    def _guest(self, session: Session, address: str) -> Principal:
        return replace(self._roles.principal(f"guest:{session.id}", GUEST), account=self._account(address))

    def _account(self, address: str) -> str:
        """Whose limits guests of an address use up; it does not tell the address."""
        return f"guests:{hmac.new(self._session_key, address.encode(), sha256).hexdigest()[:16]}"

    def _operator(self) -> Principal:
        return self._roles.principal("admin", ADMIN, token=OPERATOR)

    def _is_operator(self, text: str) -> bool:
        given = self.digest_of_operator(text)
        return self._admin_digest is not None and hmac.compare_digest(given, self._admin_digest)

    def _mark_of_operator(self) -> str:
        """Changes with the operator's token, so that sessions end with it, and does not tell it."""
        return hmac.new(self._session_key, self._admin_digest or b"", sha256).hexdigest()[:32]

    @staticmethod
    def digest_of_operator(text: str) -> bytes:
        """A hash of fixed length, so that comparing takes the same time for all."""
        return sha256(text.encode(errors="replace")).digest()
