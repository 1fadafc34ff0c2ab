"""Who answered, and why, in the headers of every answer."""

from __future__ import annotations

import httpx
import pytest

from herding.api.http.response import outcome_headers
from herding.values import Outcome
from tests.support.herding import Place

pytestmark = pytest.mark.one_database

SAID = {"x-herding-model": "echo", "x-herding-node": "echo"}
CHAT = {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/infer", {"prompt": "say"}),
        ("/api/v1/infer", {"prompt": "say", "stream": True}),
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/completions", {"model": "echo", "prompt": "hi"}),
    ],
)
async def test_every_way_of_asking_is_told(api: httpx.AsyncClient, place: Place, path: str, body: object) -> None:
    answer = await api.post(path, json=body)
    assert answer.status_code == 200
    row = await place.row()
    told = {name: answer.headers.get(name) for name in ("x-request-id", "x-herding-reason", *SAID)}
    assert told == {**SAID, "x-request-id": row.request_id, "x-herding-reason": row.reason}


async def test_a_link_is_told_too(api: httpx.AsyncClient, place: Place) -> None:
    answer = await api.get("/api/v1/run/say?text=hi")
    assert answer.headers["x-herding-reason"] == (await place.row()).reason


async def test_an_equal_request_that_is_sent_again_gets_the_same_headers(api: httpx.AsyncClient, place: Place) -> None:
    sent = [await api.post("/api/v1/infer", json={"prompt": "say"}, headers={"idempotency-key": "k"}) for _ in range(2)]
    assert sent[0].headers["x-request-id"] == sent[1].headers["x-request-id"]


def test_a_header_is_ascii_whatever_a_model_is_called() -> None:
    told = outcome_headers(
        Outcome("1", "me", "say", 0, model="größe/模型\r\nset-cookie: a=b", node="n", reason="100 % · 模\r\nx: y")
    )
    assert told["x-herding-model"] == "gr%C3%B6%C3%9Fe/%E6%A8%A1%E5%9E%8B%0D%0Aset-cookie: a=b"
    assert told["x-herding-reason"] == "100 % - ???x: y"
