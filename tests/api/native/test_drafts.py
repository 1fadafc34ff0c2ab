"""Drafts through the API: one's own, and the same as in the editor."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herding.values import User
from tests.api.conftest import client
from tests.support.herding import ADMIN, Place

PLACE = "/api/v1/prompts/say/draft"
MINE = 'messages: [{role: user, content: "mine {{text}}"}]\n'
NOTHING: dict[str, Any] = {"variables": {}, "template": None, "parameters": {}, "whole": None}


async def test_a_draft_is_put_read_and_taken_away(api: httpx.AsyncClient) -> None:
    assert (await api.get(PLACE)).status_code == 404
    made = await api.put(PLACE, json={"template": MINE, "parameters": {"stop": ["END"]}})
    assert made.status_code == 200
    kept = made.json()
    assert kept.pop("updated_at").endswith("+00:00")
    assert kept.pop("revision")
    assert kept == NOTHING | {"key": "say", "template": MINE, "parameters": {"stop": ["END"]}, "base": 1}
    assert (await api.get(PLACE)).json() == made.json()
    assert (await api.get("/api/v1/drafts")).json() == {"drafts": [made.json()]}
    assert (await api.delete(PLACE)).status_code == 204
    assert (await api.get("/api/v1/drafts")).json() == {"drafts": []}


async def test_a_draft_of_a_key_with_slashes_that_is_not_there_yet(api: httpx.AsyncClient) -> None:
    whole = "name: New\ntarget_models: [echo]\nprompt: hi\n"
    made = await api.put("/api/v1/prompts/a/b/draft", json={"whole": whole})
    assert (made.json()["key"], made.json()["base"]) == ("a/b", 0)
    refused = await api.put("/api/v1/prompts/a/draft/draft", json={"whole": whole})
    assert refused.status_code in (400, 422)


async def test_nobody_reads_the_draft_of_another(app: FastAPI, place: Place, api: httpx.AsyncClient) -> None:
    await api.put(PLACE, json={"template": MINE})
    await place.accounts.add_user(User("ada", "Ada", "user"), ADMIN)
    _, token = await place.accounts.create_token("ada", "test", ADMIN)
    async with client(app, {"authorization": f"Bearer {token}"}) as ada:
        assert (await ada.get(PLACE)).status_code == 404
        assert (await ada.get("/api/v1/drafts")).json() == {"drafts": []}
        await ada.put(PLACE, json={"variables": {"text": "hers"}})
    assert (await api.get(PLACE)).json()["template"] == MINE


async def test_a_visitor_is_known_again_and_keeps_inputs_only(http: httpx.AsyncClient) -> None:
    assert (await http.put(PLACE, json={"variables": {"text": "x"}})).status_code == 200
    assert (await http.get(PLACE)).json()["variables"] == {"text": "x"}
    assert (await http.put(PLACE, json={"template": MINE})).status_code == 403
    assert (await http.put("/api/v1/prompts/ghost/draft", json={})).status_code == 404


@pytest.mark.parametrize(
    "body", [{"colour": "red"}, {"base": -1}, {"base": 9}, {"parameters": {"temperature": "hot"}}, {"template": 3}]
)
async def test_a_draft_that_is_none_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await api.put(PLACE, json=body)).status_code in (400, 422)
    assert (await api.get(PLACE)).status_code == 404


async def test_a_draft_that_changed_since_is_not_replaced(api: httpx.AsyncClient) -> None:
    first = (await api.put(PLACE, json={"variables": {"text": "a"}})).json()["revision"]
    second = await api.put(PLACE, json={"variables": {"text": "b"}, "revision": first})
    assert second.status_code == 200
    refused = await api.put(PLACE, json={"variables": {"text": "c"}, "revision": first})
    assert (refused.status_code, refused.json()["error"]["type"]) == (409, "draft_conflict")
    assert (await api.get(PLACE)).json() == second.json()
    assert (await api.put(PLACE, json={"variables": {"text": "c"}})).status_code == 200


@pytest.mark.parametrize("text", ["\0", "a\ud800b", "é\u2028", "\\u0000"])
async def test_the_revision_of_an_odd_text_is_that_of_what_is_stored(api: httpx.AsyncClient, text: str) -> None:
    body, kind = json.dumps({"variables": {"text": text}}), {"content-type": "application/json"}
    made = (await api.put(PLACE, content=body, headers=kind)).raise_for_status().json()
    assert (await api.get(PLACE)).json()["revision"] == made["revision"]
