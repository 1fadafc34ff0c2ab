"""The endpoint of the Model Context Protocol on a port, and the SDK's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client

from herding.values import User
from tests.api.conftest import live
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import Scripted, echo

GREETING = """
    name: Greeting
    description: Greets somebody.
    label: prod
    target_models: [echo]
    variables:
      who: {type: text, max_chars: 20, description: Name of a person}
      times: {type: integer, default: 2, min: 1, max: 5}
    messages:
      - {role: system, content: "Greet {{times}} times."}
      - {role: user, content: "Hello {{who}}"}
    """
INTERNAL = """
    name: Internal
    roles: [admin]
    target_models: [echo]
    messages: [{role: user, content: the secret text}]
    """
ENDLESS = """
    name: Endless
    target_models: [endless]
    messages: [{role: user, content: go on}]
    """


@pytest.fixture
def endless() -> Scripted:
    return Scripted("endless", ["one "], models=("endless",), ends=False)


@pytest.fixture
async def place(tmp_path: Path, endless: Scripted) -> AsyncIterator[Place]:
    """A Herding that other machines can reach: callers without a token are guests."""
    async with herding(tmp_path, echo(), endless, host="0.0.0.0") as place:
        for key, text in (("greeting", GREETING), ("internal", INTERNAL), ("endless", ENDLESS)):
            place.write(key, text)
        yield place


@pytest.fixture
async def url(place: Place) -> AsyncIterator[str]:
    async with live(place) as address:
        yield f"{address}/mcp"


async def token_of(place: Place, role: str, user: str = "") -> str:
    """The token of a new user of a role."""
    user = user or role
    await place.accounts.add_user(User(user, user, role), ADMIN)
    return (await place.accounts.create_token(user, "test", ADMIN))[1]


@asynccontextmanager
async def connect(url: str, token: str | None = None, mode: str = "auto") -> AsyncIterator[Client]:
    """The SDK's client; `mode` legacy is that of clients before the protocol of 2026."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, cache=None) as client:
            yield client
