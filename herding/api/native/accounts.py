"""Your own account, access tokens, users and roles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from fastapi import APIRouter
from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    field_serializer,
)
from pydantic.config import JsonDict

from herding.access.operations import USAGE
from herding.access.role_file import LimitEntry, RoleNotes
from herding.access.roles import require
from herding.api.http.errors import error_responses
from herding.api.http.models import Instant, RequestModel, ResponseModel, format_instant
from herding.api.http.request import Caller
from herding.errors import AccessError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.store import now_ms
from herding.values import (
    MAX_LIMITS,
    LimitType,
    LimitUse,
    LoginSession,
    Principal,
    Token,
    User,
)
from herding.values.durations import DAY_MS
from herding.values.origins import MAX_ORIGINS

_LIMIT: JsonDict = {"type": "request", "interval": 24, "limit": 500}
_NO_USER = NotFoundError("User not found.", param="user")
_NO_TOKEN = NotFoundError("Token not found.", param="token_id")
_NO_ADMIN = AccessError("Only an admin can make an admin.")


class LimitRequest(LimitEntry):
    """A limit on requests, on input and output tokens together, or on money (`cost`), per interval."""


def _plain(amount: float) -> float:
    """Return a whole number as an integer, which JSON writes without a point."""
    return int(amount) if amount == int(amount) else amount


class UpdateUserRequest(RequestModel):
    """Changes of a user; null leaves a field as it is. `limits` hold in addition to the limits of the role."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"role": "rater", "limits": [_LIMIT]}]})

    name: str | None = None
    role: str | None = None
    limits: list[LimitRequest] | None = Field(default=None, max_length=MAX_LIMITS)
    opt_out_history_content: StrictBool | None = None
    disabled: StrictBool | None = None

    def apply(self, user: User) -> User:
        """Return `user` with these changes."""
        return replace(
            user,
            name=user.name if self.name is None else self.name,
            role=user.role if self.role is None else self.role,
            limits=user.limits if self.limits is None else tuple(limit.to_limit() for limit in self.limits),
            opt_out=user.opt_out if self.opt_out_history_content is None else self.opt_out_history_content,
            disabled=user.disabled if self.disabled is None else self.disabled,
        )


class CreateUserRequest(UpdateUserRequest):
    """A new user."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "ada", "name": "Ada", "role": "user", "limits": [_LIMIT]}]}
    )

    id: str = Field(description="the name in histories and in the API: letters, digits, . _ - @")
    role: str


class CreateTokenRequest(RequestModel):
    """A new token."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": "ada", "name": "web shop", "role": "rater", "expires_in_days": 90}]}
    )

    user: str | None = Field(default=None, description="the user of the token; null: yourself")
    name: str = Field(default="token", description="the purpose of the token")
    role: str | None = Field(default=None, description="a role with fewer rights than the user's")
    expires_in_days: float | None = Field(default=None, gt=0, le=3660)
    origins: list[str] = Field(
        default_factory=list,
        max_length=MAX_ORIGINS,
        description="of web pages that may use it; none: as in the settings",
    )


class UpdateMeRequest(RequestModel):
    """Changes of your own account."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"opt_out_history_content": True}]})

    opt_out_history_content: StrictBool = Field(description="store no content of new requests, and no drafts")
    delete_drafts: StrictBool = Field(default=False, description="also delete your stored drafts")


class RolesResponse(ResponseModel):
    """The roles file, its digest, its problem if it has one, and a warning for each pattern that matches nothing."""

    text: str
    digest: str
    problem: str | None
    warnings: Sequence[str]


class RolesRequest(RequestModel):
    """A new text of the roles file, and the digest of the text that was edited."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "roles: ...", "digest": "9f86d0..."}]})

    text: str
    digest: str


class LimitResponse(ResponseModel):
    """A limit; its interval is in hours. A limit of the type `cost` is in US dollars."""

    type: LimitType
    interval: float = Field(validation_alias="interval_hours")
    limit: float = Field(validation_alias="amount")

    @field_serializer("limit")
    def _whole(self, amount: float) -> float:
        return _plain(amount)


class LimitUseResponse(LimitResponse):
    """A limit, the amount that is used, and the time when some of that becomes free."""

    used: float
    frees_at: Instant | None

    @field_serializer("used")
    def _whole_use(self, amount: float) -> float:
        return _plain(amount)

    @classmethod
    def from_use(cls, use: LimitUse) -> LimitUseResponse:
        """Return a limit with its use."""
        return cls(
            type=use.limit.type,
            interval=use.limit.interval_hours,
            limit=use.limit.amount,
            used=use.limit.written(use.used),
            frees_at=format_instant(use.frees_at),
        )


class TabsResponse(ResponseModel):
    """The tabs of the UI that your role shows."""

    tabs: tuple[str, ...]


class MyTokenResponse(ResponseModel):
    """The token of this request."""

    id: str
    expires_at: Instant | None


class MeResponse(ResponseModel):
    """Your account and your rights. `token` is null without one."""

    id: str
    name: str
    role: str
    rights: list[str]
    tabs: tuple[str, ...]
    nodes: tuple[str, ...]
    prompts: tuple[str, ...]
    limits: list[LimitResponse]
    opt_out_history_content: bool
    stored_drafts: int = Field(description="your drafts in the database")
    token: MyTokenResponse | None

    @classmethod
    def from_principal(cls, who: Principal, user: User | None, *, drafts: int) -> MeResponse:
        """Return a principal, with their user where they are one."""
        return cls(
            id=who.id,
            name=user.name if user else who.id,
            role=who.role,
            rights=sorted(who.rights),
            tabs=who.tabs,
            nodes=who.nodes,
            prompts=who.prompts,
            limits=[LimitResponse.model_validate(limit) for limit in who.limits],
            opt_out_history_content=user.opt_out if user else who.opt_out,
            stored_drafts=drafts,
            token=MyTokenResponse(id=who.token, expires_at=format_instant(who.expires_at)) if who.token else None,
        )


class UserResponse(ResponseModel):
    """A user with their own limits."""

    id: str
    name: str
    role: str
    limits: list[LimitResponse]
    opt_out_history_content: bool = Field(validation_alias="opt_out")
    disabled: bool
    created_at: Instant


class UserList(ResponseModel):
    """All users."""

    users: list[UserResponse]


class TokenResponse(ResponseModel):
    """A token without its secret. A time of null means never; a role of null is that of the user."""

    id: str
    user: str
    name: str
    role: str | None
    created_at: Instant
    created_by: str
    expires_at: Instant | None
    revoked_at: Instant | None
    last_used_at: Instant | None
    origins: Sequence[str]


class NewTokenResponse(TokenResponse):
    """A new token. `token` is its text, which is not shown again."""

    token: str

    @classmethod
    def from_token(cls, token: Token, text: str) -> NewTokenResponse:
        """Return a token with its text."""
        return cls(token=text, **dict(TokenResponse.model_validate(token)))


class TokenList(ResponseModel):
    """Tokens, oldest first."""

    tokens: list[TokenResponse]


class RevokeResponse(ResponseModel):
    """A token that was revoked."""

    id: str
    revoked: bool = True


class SessionResponse(ResponseModel):
    """A browser that is logged in. `current` is the one that sent this request, `seen_at` within a minute."""

    token: str = Field(description="the id of the token that it logged in with")
    created_at: Instant
    seen_at: Instant
    expires_at: Instant
    current: bool

    @classmethod
    def of(cls, session: LoginSession, who: Principal) -> SessionResponse:
        """Return a session as `who` sees it."""
        return cls(
            token=session.token.partition(":")[0],
            created_at=format_instant(session.created_at),
            seen_at=format_instant(session.seen_at),
            expires_at=format_instant(session.expires_at),
            current=session.digest == who.session,
        )


class SessionList(ResponseModel):
    """Browsers that are logged in, the newest login first."""

    sessions: list[SessionResponse]


class EndSessionsResponse(ResponseModel):
    """The number of sessions that were ended."""

    ended: int


def router(orchestrator: Orchestrator) -> APIRouter:
    """Return the routes of accounts."""
    routes = APIRouter(prefix="/api/v1")
    routes.include_router(_own_account(orchestrator))
    routes.include_router(_tokens(orchestrator))
    routes.include_router(_users(orchestrator))
    return routes


def _own_account(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter(tags=["me"])
    accounts = orchestrator.accounts

    @routes.get("/me", responses=error_responses())
    async def get_me(who: Caller) -> MeResponse:
        """Return your account and your rights."""
        return MeResponse.from_principal(who, await accounts.me(who), drafts=await accounts.stored_drafts(who))

    @routes.patch(
        "/me",
        responses=error_responses(
            UserError("Only users who have a token can choose this.", param="opt_out_history_content")
        ),
    )
    async def update_me(body: UpdateMeRequest, who: Caller) -> MeResponse:
        """Choose whether the content of your requests and drafts is stored; counts, timings and stars always are.

        Drafts that are already stored stay until you delete them: with `delete_drafts`, or each at its path.
        """
        user = await accounts.opt_out(body.opt_out_history_content, who, delete_drafts=body.delete_drafts)
        return MeResponse.from_principal(who, user, drafts=await accounts.stored_drafts(who))

    @routes.get("/me/sessions", responses=error_responses())
    async def list_sessions(who: Caller) -> SessionList:
        """List the browsers in which you are logged in."""
        return SessionList(sessions=[SessionResponse.of(one, who) for one in await accounts.sessions(who)])

    @routes.delete(
        "/me/sessions", responses=error_responses(UserError("Only users who log in with a token have sessions."))
    )
    async def end_sessions(who: Caller) -> EndSessionsResponse:
        """Log yourself out in all browsers at once. Tokens stay valid."""
        return EndSessionsResponse(ended=await accounts.end_sessions(who))

    @routes.get("/allowed_tabs", responses=error_responses())
    async def list_allowed_tabs(who: Caller) -> TabsResponse:
        """List the tabs of the UI that your role shows."""
        require(who, USAGE)
        return TabsResponse(tabs=who.tabs)

    return routes


def _tokens(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter(prefix="/tokens", tags=["access"])
    accounts = orchestrator.accounts

    @routes.get("", responses=error_responses())
    async def list_tokens(who: Caller) -> TokenList:
        """List your tokens, or those of all users with the right `administer`. Secrets are never listed."""
        return TokenList(tokens=[TokenResponse.model_validate(token) for token in await accounts.tokens(who)])

    @routes.post("", status_code=201, responses=error_responses(_NO_USER, _NO_ADMIN))
    async def create_token(body: CreateTokenRequest, who: Caller) -> NewTokenResponse:
        """Create a token with at most your own rights. Its text is in this response and is not shown again."""
        ends = None if body.expires_in_days is None else now_ms() + round(body.expires_in_days * DAY_MS)
        made = await accounts.create_token(
            body.user or who.id, body.name, who, role=body.role, expires_at=ends, origins=body.origins
        )
        return NewTokenResponse.from_token(*made)

    @routes.delete("/{token_id}", responses=error_responses(_NO_TOKEN))
    async def revoke_token(token_id: str, who: Caller) -> RevokeResponse:
        """Revoke a token. Requests that run under it end within seconds."""
        await accounts.revoke(token_id, who)
        return RevokeResponse(id=token_id)

    @routes.post("/{token_id}/rotate", status_code=201, responses=error_responses(_NO_TOKEN))
    async def rotate_token(token_id: str, who: Caller) -> NewTokenResponse:
        """Create a token that replaces another one, which stays valid for 24 hours."""
        return NewTokenResponse.from_token(*await accounts.rotate(token_id, who))

    return routes


def _users(orchestrator: Orchestrator) -> APIRouter:
    routes = APIRouter(tags=["access"])
    accounts = orchestrator.accounts

    @routes.get("/users", responses=error_responses())
    async def list_users(who: Caller) -> UserList:
        """List all users."""
        return UserList(users=[UserResponse.model_validate(user) for user in await accounts.users(who)])

    @routes.post(
        "/users",
        status_code=201,
        responses=error_responses(_NO_ADMIN, UserError("Role not found.", param="role")),
    )
    async def create_user(body: CreateUserRequest, who: Caller) -> UserResponse:
        """Create a user with a role of at most your own rights. Then create a token for them."""
        user = await accounts.add_user(body.apply(User(body.id, body.id, body.role)), who)
        return UserResponse.model_validate(user)

    @routes.get("/users/{user_id}", responses=error_responses(_NO_USER))
    async def get_user(user_id: str, who: Caller) -> UserResponse:
        """Return one user."""
        return UserResponse.model_validate(await accounts.user(user_id, who))

    @routes.patch("/users/{user_id}", responses=error_responses(_NO_USER, _NO_ADMIN))
    async def update_user(user_id: str, body: UpdateUserRequest, who: Caller) -> UserResponse:
        """Change a user; omitted fields stay. Disabling a user ends all their tokens at once."""
        changed = body.apply(await accounts.user(user_id, who))
        return UserResponse.model_validate(await accounts.change_user(changed, who))

    @routes.delete("/users/{user_id}/sessions", responses=error_responses(_NO_USER, _NO_ADMIN))
    async def end_sessions_of_user(user_id: str, who: Caller) -> EndSessionsResponse:
        """Log a user out in all browsers at once. Their tokens stay valid: revoke those, or disable the user."""
        return EndSessionsResponse(ended=await accounts.end_sessions_of(user_id, who))

    @routes.get("/roles", responses=error_responses())
    async def get_roles(who: Caller) -> RolesResponse:
        """Return the roles file, the problem that keeps it from taking effect, and patterns that match nothing."""
        return _roles_response(await accounts.roles(who), who)

    @routes.put("/roles", responses=error_responses(UserError("The file changed. Load it again.", param="text")))
    async def save_roles(body: RolesRequest, who: Caller) -> RolesResponse:
        """Replace the roles file, if the text is valid and the file was not changed meanwhile.

        The roles take effect before the response.
        """
        return _roles_response(await accounts.save_roles(body.text, body.digest, who), who)

    def _roles_response(notes: RoleNotes, who: Principal) -> RolesResponse:
        return RolesResponse(**asdict(notes), warnings=orchestrator.role_patterns.unmatched(who))

    return routes
