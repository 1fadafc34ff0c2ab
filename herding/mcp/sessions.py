"""Sessions of clients, which belong to the principal who opened them."""

from __future__ import annotations

import math
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser, AuthorizationContext
from mcp.server.auth.provider import AccessToken
from mcp.server.lowlevel import Server
from mcp.server.streamable_http import StreamableHTTPServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.types import Receive, Scope, Send

from herding.values import Principal

MAX_BODY = 4_000_000
MAX_SESSIONS = 1_000
MAX_SESSIONS_EACH = 20
"""Open sessions of one user, or of one address of anonymous callers."""

IDLE_SECONDS = 1800.0


class SessionManager(StreamableHTTPSessionManager):
    """The SDK's manager of sessions, with owners from the app's authentication and a bound for each owner.

    A session of somebody else does not exist for a caller. Hosts and origins are checked by the app's middleware.
    """

    def __init__(self, server: Server[Any]) -> None:
        super().__init__(
            server, session_idle_timeout=IDLE_SECONDS, max_sessions=MAX_SESSIONS, max_request_body_size=MAX_BODY
        )

    async def handle(self, scope: Scope, receive: Receive, send: Send, who: Principal) -> None:
        """Serve one HTTP request of a principal."""
        token = AccessToken(token="", client_id=who.account or who.id, scopes=[], subject=who.token)
        await self.handle_request({**scope, "user": AuthenticatedUser(token)}, receive, send)

    def _admit_session(self, requestor: AuthorizationContext | None) -> StreamableHTTPServerTransport | None:
        """Return the transport of a new session; None at a bound, which the SDK answers with status 503.

        At the bound of an owner, the session of theirs that was idle longest ends: clients that reconnect rarely end
        their old ones. One with a request in flight, or with an open stream, stays.
        """
        owned = [session for session, owner in self._session_owners.items() if owner == requestor]
        if len(owned) >= MAX_SESSIONS_EACH and not self._end_idle_session(owned):
            return None
        return super()._admit_session(requestor)

    def _end_idle_session(self, sessions: list[str]) -> bool:
        """End the session that was idle longest; return False if none is idle."""
        scopes = {session: self._server_instances[session].idle_scope for session in sessions}
        idle = {session: scope for session, scope in scopes.items() if scope and scope.deadline < math.inf}
        if not idle:
            return False
        longest = min(idle, key=lambda session: idle[session].deadline)
        del self._server_instances[longest], self._session_owners[longest]
        idle[longest].cancel()
        return True
