"""Equal requests that are sent again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.api.native.idempotency import TTL_SECONDS, IdempotencyCache, UsedKeyError
from herding.errors import ConnectError
from tests.api.conftest import ADMIN, client, web
from tests.support.herding import Place, herding
from tests.support.nodes import Scripted, echo

KEY = {"idempotency-key": "k1"}
SAY = {"prompt": "say"}
OF_ME = ("me", "k")


async def infer(http: httpx.AsyncClient, body: dict[str, Any] = SAY, headers: dict[str, str] = KEY) -> httpx.Response:
    return await http.post("/api/v1/infer", json=body, headers=headers)


async def test_five_at_once_make_one_run(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("echo", delay=0.05)) as place, client(web(place), ADMIN) as api:
        answers = await asyncio.gather(*(infer(api) for _ in range(5)))
        assert [answer.status_code for answer in answers] == [200] * 5
        assert len({answer.content for answer in answers}) == 1
        assert (await infer(api)).content == answers[0].content
        assert (await place.row()).request_id == answers[0].json()["request_id"]


async def test_another_body_with_the_key_is_a_conflict(api: httpx.AsyncClient, place: Place) -> None:
    await infer(api)
    response = await infer(api, {"prompt": "say", "variables": {"text": "other"}})
    assert (response.status_code, response.json()["error"]["type"]) == (409, "idempotency_conflict")
    assert len(await place.rows()) == 1


async def test_another_key_and_another_principal_run_anew(
    api: httpx.AsyncClient, http: httpx.AsyncClient, place: Place
) -> None:
    ids = {(await infer(api)).json()["request_id"], (await infer(http)).json()["request_id"]}
    ids.add((await infer(api, headers={"idempotency-key": "k2"})).json()["request_id"])
    assert len(ids) == len(await place.rows()) == 3


async def test_without_a_key_every_request_runs(api: httpx.AsyncClient, place: Place) -> None:
    await infer(api, headers={})
    await infer(api, headers={})
    assert len(await place.rows()) == 2


async def test_a_failure_is_not_kept(tmp_path: Path) -> None:
    node = Scripted("echo", [ConnectError("down")])
    async with herding(tmp_path, node) as place, client(web(place), ADMIN) as api:
        answers = await asyncio.gather(infer(api), infer(api))
        assert {answer.status_code for answer in answers} == {502}
        assert len(await place.rows()) == 1
        node._words = ["fine"]
        assert (await infer(api)).json()["text"] == "fine"


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_some_characters_and_not_too_many(api: httpx.AsyncClient, key: str) -> None:
    assert (await infer(api, headers={"idempotency-key": key})).status_code == 422


async def test_a_key_with_a_stream_is_refused(api: httpx.AsyncClient, place: Place) -> None:
    response = await infer(api, {"prompt": "say", "stream": True})
    assert response.status_code == 422
    assert await place.rows() == []


class Run:
    """A run that takes a moment; counts how often it began and whether it ended."""

    def __init__(self, answer: bytes = b"answer", seconds: float = 0.02) -> None:
        self.answer, self.seconds = answer, seconds
        self.began = self.ended = 0

    async def __call__(self) -> bytes:
        self.began += 1
        await asyncio.sleep(self.seconds)
        self.ended += 1
        return self.answer


async def test_one_who_leaves_does_not_end_the_run_of_others() -> None:
    replies, run = IdempotencyCache(size=len), Run()
    first = asyncio.create_task(replies.run(OF_ME, b"1", run))
    second = asyncio.create_task(replies.run(OF_ME, b"1", run))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == b"answer"
    assert run.began == 1


async def test_when_all_leave_the_run_ends_and_the_next_one_is_new() -> None:
    replies, run = IdempotencyCache(size=len), Run(seconds=10)
    both = [asyncio.create_task(replies.run(OF_ME, b"1", run)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for task in both:
        task.cancel()
    await asyncio.gather(*both, return_exceptions=True)
    run.seconds = 0
    assert await replies.run(OF_ME, b"1", run) == b"answer"
    assert (run.began, run.ended) == (2, 1)


async def test_an_answer_is_forgotten_after_a_day() -> None:
    now = 0.0
    replies, run = IdempotencyCache(size=len, monotonic=lambda: now), Run()
    await replies.run(OF_ME, b"1", run)
    now = TTL_SECONDS
    await replies.run(OF_ME, b"1", run)
    with pytest.raises(UsedKeyError):
        await replies.run(OF_ME, b"2", run)
    now += 1
    await replies.run(OF_ME, b"2", run)
    assert run.began == 2


async def test_the_longest_unused_answers_go_first() -> None:
    replies, run = IdempotencyCache(size=len, max_entries=2), Run(seconds=0)
    for key in ("a", "b", "a", "c"):
        await replies.run(("me", key), b"1", run)
    assert run.began == 3
    await replies.run(("me", "a"), b"1", run)
    assert run.began == 3
    await replies.run(("me", "b"), b"1", run)
    assert run.began == 4


async def test_large_answers_do_not_fill_the_memory() -> None:
    replies = IdempotencyCache(size=len, max_bytes=100)
    for number in range(10):
        await replies.run(("me", str(number)), b"1", Run(b"x" * 40, seconds=0))
    assert len(replies._entries) == 2
    assert replies._bytes == 80
    await replies.run(("me", "big"), b"1", Run(b"x" * 200, seconds=0))
    assert (len(replies._entries), replies._bytes) == (0, 0)
