"""Sessions of clients, which belong to the principal who opened them."""

from __future__ import annotations

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
        """Return the transport of a new session; None at a bound, which the SDK answers with status 503."""
        if sum(owner == requestor for owner in self._session_owners.values()) >= MAX_SESSIONS_EACH:
            return None
        return super()._admit_session(requestor)
