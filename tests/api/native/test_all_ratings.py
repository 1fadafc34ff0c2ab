"""Ratings and comments of all users, for whoever may see the request."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import httpx
import pytest

from herding.errors import NotFoundError
from herding.values import Principal, Request
from tests.api.conftest import ADMIN
from tests.support.herding import ADMIN as BOSS
from tests.support.herding import Place
from tests.support.people import principal

GUEST, OTHER = principal("guest:1", "guest"), principal("guest:2", "guest")


async def ask(place: Place, who: Principal) -> str:
    return (await place.orchestrator.pipeline.run(Request("say"), who)).request_id


@pytest.fixture
async def rated(place: Place) -> str:
    """A request of a guest that the guest rated with 2, and the admin with 5."""
    request_id, feedback = await ask(place, GUEST), place.orchestrator.feedback
    await feedback.rate(request_id, 2, GUEST)
    await feedback.comment(request_id, "too short", GUEST)
    await feedback.rate(request_id, 5, BOSS)
    await ask(place, OTHER)
    return request_id


async def entries(http: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    response = await http.get("/api/v1/history", params=params, headers=ADMIN)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["entries"]
    return found


async def test_an_admin_reads_them_in_the_list_and_alone(http: httpx.AsyncClient, rated: str) -> None:
    listed = next(entry for entry in await entries(http) if entry["request_id"] == rated)
    alone = (await http.get(f"/api/v1/history/{rated}", headers=ADMIN)).json()
    assert listed == alone
    assert [(one["user"], one["score"], one["comment"]) for one in alone["ratings"]] == [
        ("guest:1", 2, "too short"),
        ("admin", 5, None),
    ]
    assert all(one["updated_at"].endswith("+00:00") for one in alone["ratings"])
    assert (alone["score"], alone["comment"], alone["mean_score"]) == (5, None, 3.5)


async def test_a_user_sees_all_ratings_of_their_own_requests_and_none_of_others(place: Place, rated: str) -> None:
    entry = await place.orchestrator.history.entry(rated, GUEST)
    assert [rating.principal for rating in entry.ratings] == ["guest:1", "admin"]
    assert (entry.stars, entry.comment) == (2, "too short")
    with pytest.raises(NotFoundError):
        await place.orchestrator.history.entry(rated, OTHER)


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"stars": 2}, True),
        ({"stars": 5}, True),
        ({"stars": 4}, False),
        ({"min_stars": 3}, True),
        ({"max_stars": 3}, False),
        ({"min_stars": 3.5, "max_stars": 3.5}, True),
        ({"rated": True}, True),
        ({"commented": True}, True),
        ({"text": "TOO short"}, True),
        ({"user": "guest:1"}, True),
        ({"from": "2020-01-01", "user": "guest:1"}, True),
        ({"to": "2020-01-01"}, False),
    ],
)
async def test_filters_count_those_of_all_users(
    http: httpx.AsyncClient, rated: str, params: dict[str, Any], found: bool
) -> None:
    assert [entry["request_id"] for entry in await entries(http, **params)] == ([rated] if found else [])


async def test_the_unrated_are_those_without_any_rating(http: httpx.AsyncClient, rated: str) -> None:
    for params in ({"stars": 0}, {"rated": False}, {"commented": False}, {"user": "guest:2"}):
        assert [entry["principal"] for entry in await entries(http, **params)] == ["guest:2"], params


async def test_the_exports_have_all_of_them(http: httpx.AsyncClient, place: Place, rated: str) -> None:
    await place.orchestrator.feedback.comment(rated, "=fine", BOSS)
    params = {"stars": "2"}
    text = (await http.get("/api/v1/history.csv", params=params, headers=ADMIN)).content.decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert (row["stars"], row["comment"]) == ("3.5", "guest:1: too short\nadmin: =fine")
    (line,) = (await http.get("/api/v1/history.jsonl", params=params, headers=ADMIN)).text.splitlines()
    for ratings in (json.loads(row["ratings"]), json.loads(line)["ratings"]):
        assert [(one["user"], one["score"], one["comment"]) for one in ratings] == [
            ("guest:1", 2, "too short"),
            ("admin", 5, "=fine"),
        ]


async def test_chats_and_embeddings_are_named(http: httpx.AsyncClient, place: Place) -> None:
    for path, body in (
        ("chat/completions", {"model": "echo", "messages": [{"role": "user", "content": "hi"}]}),
        ("completions", {"model": "echo", "prompt": "hi"}),
    ):
        assert (await http.post(f"/v1/{path}", json=body, headers=ADMIN)).status_code == 200
    assert [entry["kind"] for entry in await entries(http)] == ["completion", "chat"]
    assert [entry["kind"] for entry in await entries(http, kind="chat")] == ["chat"]
