"""Heads of requests: host names that are accepted are remembered, and only they."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.middleware.trustedhost import TrustedHostMiddleware

from herding.api.middleware.heads import MAX_HOST_BYTES, MAX_HOSTS, HeadMiddleware


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


async def status(head: HeadMiddleware, host: str) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(head), base_url="http://any") as api:
        return (await api.get("/", headers={"host": host})).status_code


async def test_a_host_is_checked_once_and_another_is_still_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    original = TrustedHostMiddleware.__call__

    async def counting(self: Any, scope: Any, receive: Any, send: Any) -> None:
        checked.append(dict(scope["headers"])[b"host"].decode())
        await original(self, scope, receive, send)

    monkeypatch.setattr(TrustedHostMiddleware, "__call__", counting)
    head = HeadMiddleware(answer, allowed_hosts=["herd.example", "*.pasture.example"])
    hosts = ["herd.example", "wolf.example", "herd.example", "a.pasture.example", "wolf.example", "a.pasture.example"]
    assert [await status(head, host) for host in hosts] == [200, 400, 200, 200, 400, 200]
    assert checked == ["herd.example", "wolf.example", "a.pasture.example", "wolf.example"]


async def test_not_every_name_is_remembered() -> None:
    head = HeadMiddleware(answer, allowed_hosts=["*"])
    long = "a" * (MAX_HOST_BYTES + 1)
    assert await status(head, long) == 200
    assert not head._accepted
    head._accepted.update(b"%d" % number for number in range(MAX_HOSTS))
    assert await status(head, "one.more") == 200
    assert len(head._accepted) == MAX_HOSTS
