"""Limits of the running app: exact under a rush, and over a power cut."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from tests.e2e.doors import Admin, bearer
from tests.e2e.running_app import RunningApp

ROUNDS = 12
RUSH = 50
MOST = 10
LIMIT = {"limits": [{"type": "request", "interval": 1, "limit": MOST}]}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


async def rush(app: RunningApp, tokens: list[str], *, count: int = RUSH) -> list[Counter[int]]:
    """Statuses of `count` requests at once, for one token after the other; half of them by each API."""
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(base_url=app.url, limits=limits, trust_env=False, timeout=60) as http:

        async def ask(token: str, number: int) -> int:
            path, body = ("/api/v1/infer", {"prompt": "greet"}) if number % 2 else ("/v1/chat/completions", CHAT)
            answer = await http.post(path, json=body, headers=bearer(token))
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) > 3000
                assert f"{MOST} of {MOST} requests in 1 hour used" in answer.text
            return answer.status_code

        return [Counter(await asyncio.gather(*(ask(token, n) for n in range(count)))) for token in tokens]


async def test_exactly_as_many_as_the_limit_are_admitted_every_time_and_none_after_a_power_cut(
    open_net: RunningApp,
) -> None:
    admin = Admin(open_net.url)
    tokens = [admin.user(f"user{number}", **LIMIT) for number in range(ROUNDS)]
    late = admin.user("late", **LIMIT)
    wanted = Counter({200: MOST, 429: RUSH - MOST})
    assert await rush(open_net, tokens) == [wanted] * ROUNDS
    assert await rush(open_net, [late], count=MOST - 3) == [Counter({200: MOST - 3})]
    open_net.kill()
    open_net.start()
    assert await rush(open_net, tokens[:5]) == [Counter({429: RUSH})] * 5
    assert await rush(open_net, [late]) == [Counter({200: 3, 429: RUSH - 3})]
    async with httpx.AsyncClient(base_url=open_net.url, headers=bearer(late), trust_env=False, timeout=60) as http:
        used = (await http.get("/api/v1/usage")).json()["limits"]
    assert [limit["used"] for limit in used if limit["limit"] == MOST] == [MOST]


async def test_killed_in_the_middle_of_a_rush_no_more_than_the_limit_are_admitted_in_all(open_net: RunningApp) -> None:
    token = Admin(open_net.url).user("rushing", **LIMIT)

    async def ask(http: httpx.AsyncClient) -> int:
        try:
            return (await http.post("/v1/chat/completions", json=CHAT, headers=bearer(token))).status_code
        except httpx.TransportError:
            return 0

    async with httpx.AsyncClient(base_url=open_net.url, trust_env=False, timeout=60) as http:
        asking = [asyncio.create_task(ask(http)) for _ in range(RUSH)]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        open_net.kill()
        answered = (await asyncio.gather(*asking)).count(200)
    open_net.start()
    (after,) = await rush(open_net, [token])
    assert answered + after[200] <= MOST
    assert after[429] == RUSH - after[200]


def test_what_costs_nothing_is_not_blocked_by_a_used_up_limit(open_net: RunningApp) -> None:
    token = Admin(open_net.url).user("blocked", limits=[{"type": "request", "interval": 1, "limit": 1}])
    with httpx.Client(base_url=open_net.url, headers=bearer(token), trust_env=False, timeout=60) as http:
        done = http.post("/api/v1/infer", json={"prompt": "greet"}).json()
        assert http.post("/api/v1/infer", json={"prompt": "greet"}).status_code == 429
        assert http.get("/api/v1/prompts").status_code == 200
        assert http.get("/api/v1/history").json()["total"] == 1
        assert http.post("/api/v1/score", json={"request_id": done["request_id"], "score": 5}).status_code == 200
