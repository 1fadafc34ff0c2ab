"""Chats that send a `session_id` and the new message only."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai as official
import pytest

from tests.api.conftest import live
from tests.support.herding import Place

CHAT = """
    name: Chat
    chat: true
    target_models: [echo]
    variables: {text: {default: last}}
    messages:
      - {role: system, content: "be kind"}
      - {role: user, content: "{{text}}"}
    """
TURNS = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


async def sent(place: Place) -> list[str]:
    """What the messages of the last request said."""
    return [message["content"] for message in json.loads((await place.rows())[0].input)]


async def infer(http: httpx.AsyncClient, text: str, **more: Any) -> httpx.Response:
    body = {"prompt": "chat", "variables": {"text": text}, "session_id": "s", **more}
    return await http.post("/api/v1/infer", json=body)


async def test_infer(http: httpx.AsyncClient, place: Place) -> None:
    place.write("chat", CHAT)
    for text in ("one", "two"):
        assert (await infer(http, text)).status_code == 200
    assert await sent(place) == ["be kind", "one", "one", "two"]
    await infer(http, "three", turns=[])
    assert await sent(place) == ["be kind", "one", "one", "two", "two", "three"]
    await infer(http, "new", turns=TURNS)
    assert await sent(place) == ["be kind", "q", "a", "new"]
    assert "event: done" in (await infer(http, "four", stream=True)).text
    assert len(await sent(place)) == 10


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v1/chat/completions"])
async def test_chats_with_a_model_and_with_a_prompt(api: httpx.AsyncClient, place: Place, path: str) -> None:
    place.write("chat", CHAT)

    async def say(model: str, *messages: Any, **more: Any) -> list[str]:
        said = [{"role": "user", "content": one} if isinstance(one, str) else one for one in messages]
        response = await api.post(path, json={"model": model, "messages": said, "session_id": "s", **more})
        assert response.status_code == 200
        return await sent(place)

    for model, head in (("echo", []), ("prompt:chat", ["be kind"])):
        assert await say(model, "one") == [*head, "one"]
        assert await say(model, "two", stream=True) == [*head, "one", "one", "two"]
        assert await say(model, *TURNS, "new") == [*head, "q", "a", "new"]
    by_variables = await api.post(
        path, json={"model": "prompt:chat", "messages": [], "variables": {"text": "x"}, "session_id": "s"}
    )
    assert by_variables.status_code == 200
    assert (await sent(place))[1:3] == ["one", "one"]


async def test_the_older_form(api: httpx.AsyncClient, place: Place) -> None:
    for text in ("one", "two"):
        body = {"input": text, "model_name": "echo", "session_id": "s"}
        assert (await api.post("/api/v1/chat/completions", json=body)).json()["success"]
    assert await sent(place) == ["one", "one", "two"]


async def test_two_guests_with_one_id_have_two_sessions(
    http: httpx.AsyncClient, api: httpx.AsyncClient, place: Place
) -> None:
    place.write("chat", CHAT)
    await infer(http, "a secret")
    await infer(api, "mine")
    assert await sent(place) == ["be kind", "mine"]
    await infer(http, "more")
    assert await sent(place) == ["be kind", "a secret", "a secret", "more"]


async def test_the_official_client(place: Place) -> None:
    async with (
        live(place) as url,
        official.AsyncOpenAI(base_url=f"{url}/v1", api_key="admin-token", max_retries=0) as sdk,
    ):
        for text in ("one", "two"):
            messages: Any = [{"role": "user", "content": text}]
            await sdk.chat.completions.create(model="echo", messages=messages, extra_body={"session_id": "s"})
    assert await sent(place) == ["one", "one", "two"]


@pytest.mark.parametrize("session_id", ["", "x" * 129, "a\nb", 5])
async def test_a_session_id_that_is_none(api: httpx.AsyncClient, place: Place, session_id: Any) -> None:
    body = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "session_id": session_id}
    for path, more, status in (
        ("/v1/chat/completions", body, 400),
        ("/api/v1/chat/completions", body, 422),
        ("/api/v1/infer", {"prompt": "say", "session_id": session_id}, 422),
    ):
        response = await api.post(path, json=more)
        assert (response.status_code, response.json()["error"]["param"]) == (status, "session_id")
    assert await place.rows() == []
