"""Users and roles, for admins."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter, Response

from herding.api.http import examples
from herding.api.http.deps import Caller
from herding.api.http.reply import reply
from herding.api.native import responses
from herding.api.native.requests import NewUserBody, RolesBody, UserBody
from herding.orchestrator import Orchestrator
from herding.values import User


def router(orchestrator: Orchestrator) -> APIRouter:
    """Routes of users and roles."""
    routes = APIRouter(prefix="/api/v1", tags=["access"])
    accounts = orchestrator.accounts

    @routes.get("/users", responses=examples.answers({"users": [examples.USER]}))
    async def users(who: Caller) -> Response:
        """All users."""
        return reply({"users": [responses.user(user) for user in await accounts.users(who)]})

    @routes.post("/users", status_code=201, responses=examples.answers(examples.USER, status=201))
    async def add(body: NewUserBody, who: Caller) -> Response:
        """Add a user, with a role that can do no more than yours; then make a token for them."""
        user = await accounts.add_user(body.over(User(body.id, body.id, body.role)), who)
        return reply(responses.user(user), 201)

    @routes.get("/users/{user_id}", responses=examples.answers(examples.USER))
    async def user(user_id: str, who: Caller) -> Response:
        """One user."""
        return reply(responses.user(await accounts.user(user_id, who)))

    @routes.patch("/users/{user_id}", responses=examples.answers(examples.USER))
    async def change(user_id: str, body: UserBody, who: Caller) -> Response:
        """Change a user; what is left out stays. Disabling one ends all their tokens at once."""
        changed = body.over(await accounts.user(user_id, who))
        return reply(responses.user(await accounts.change_user(changed, who)))

    @routes.get("/roles", responses=examples.answers(examples.ROLES))
    async def roles(who: Caller) -> Response:
        """The roles file, and why it is not in force, where it is not."""
        return reply(asdict(await accounts.roles(who)))

    @routes.put("/roles", responses=examples.answers(examples.ROLES))
    async def save_roles(body: RolesBody, who: Caller) -> Response:
        """Replace the roles file, if it is whole and nobody else changed it since; it is in force on return."""
        return reply(asdict(await accounts.save_roles(body.text, body.digest, who)))

    return routes
