"""Insights over the native API."""

from __future__ import annotations

import json

import httpx
import pytest

from herding.values import User
from tests.api.conftest import client
from tests.support.herding import ADMIN, Place

V1 = "/api/v1"


async def ask(api: httpx.AsyncClient, stars: int | None = None) -> None:
    """One request of the prompt, and stars."""
    done = (await api.post(f"{V1}/infer", json={"prompt": "say"})).raise_for_status().json()
    if stars:
        (await api.post(f"{V1}/score", json={"request_id": done["request_id"], "score": stars})).raise_for_status()


async def test_what_was_run_is_told_in_figures(api: httpx.AsyncClient) -> None:
    await ask(api, 4)
    await ask(api)
    answer = await api.get(f"{V1}/insights/say", params={"days": 7})
    assert answer.status_code == 200
    found = answer.json()
    (cell,) = found["cells"]
    assert (cell["version"], cell["model"], cell["requests"], cell["rated"]) == (1, "echo", 2, 1)
    assert (cell["mean_stars"], cell["low"], cell["high"]) == (4.0, pytest.approx(3.02), pytest.approx(4.98))
    assert (cell["error_rate"], cell["check_failure_rate"], cell["share"]) == (0.0, None, 1.0)
    assert 0 <= cell["p50_ms"] <= cell["p95_ms"]
    (model,) = found["models"]
    assert (model["model"], model["share"], model["against"]) == ("echo", 1.0, None)
    assert model["why"].startswith("4.0 stars from 1 rating; no failures in 2 requests; mean latency ")
    assert [bucket["requests"] for bucket in found["buckets"]] == [2]
    assert found["buckets"][0]["at"].endswith("+00:00")
    assert [(node["node"], node["model"], node["requests"]) for node in found["nodes"]] == [("echo", "echo", 2)]
    assert found["shares"] == []  # one model has no course
    assert found["routing"]["policy"] == "stars"
    assert (found["total"], found["read"], found["days"], found["reset"]) == (2, 2, 7, None)


async def test_before_the_first_request_every_rate_is_null(api: httpx.AsyncClient) -> None:
    body = (await api.get(f"{V1}/insights/say")).text
    assert "NaN" not in body
    assert "Infinity" not in body
    found = json.loads(body)
    (cell,) = found["cells"]
    assert (cell["requests"], cell["error_rate"], cell["p95_ms"], cell["mean_stars"]) == (0, None, None, None)
    assert (found["buckets"], found["total"]) == ([], 0)


async def test_a_key_with_folders_is_looked_at_and_reset(place: Place, api: httpx.AsyncClient) -> None:
    place.write("deep/reset", "name: Deep\ntarget_models: [echo]\nprompt: hi\n")
    assert (await api.get(f"{V1}/insights/deep/reset")).json()["prompt"] == "deep/reset"
    done = (await api.post(f"{V1}/insights/deep/reset/reset")).raise_for_status().json()
    assert (done["prompt"], done["by"]) == ("deep/reset", ADMIN.id)
    assert (await api.get(f"{V1}/insights/deep/reset")).json()["reset"] == done
    assert (await api.get(f"{V1}/insights/say")).json()["reset"] is None


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("insights/ghost", 404, "no prompt 'ghost'"),
        ("insights/say?days=8", 422, "7, 30, 90 days"),
        ("insights/say?days=x", 422, "days"),
    ],
)
async def test_what_does_not_fit_is_refused_in_words(api: httpx.AsyncClient, path: str, status: int, word: str) -> None:
    answer = await api.get(f"{V1}/{path}")
    assert answer.status_code == status
    assert word in answer.text


async def test_guests_see_no_insights_and_users_reset_nothing(place: Place, http: httpx.AsyncClient, app) -> None:
    assert (await http.get(f"{V1}/insights/say")).status_code == 403
    await place.accounts.add_user(User("ada", "Ada", "user"), ADMIN)
    _, token = await place.accounts.create_token("ada", "test", ADMIN)
    async with client(app, {"authorization": f"Bearer {token}"}) as user:
        assert (await user.get(f"{V1}/insights/say")).status_code == 200
        refused = await user.post(f"{V1}/insights/say/reset")
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "forbidden")
    assert await place.store.learning_resets() == {}


async def test_models_tell_what_they_did_in_a_day(api: httpx.AsyncClient) -> None:
    (model,) = (await api.get(f"{V1}/models")).json()["models"]
    assert model["stats"] == {"total": 0, "errors": 0, "error_rate": None, "ok_rate": None, "share": None}
    await ask(api)
    (model,) = (await api.get(f"{V1}/models")).json()["models"]
    assert model["stats"] == {"total": 1, "errors": 0, "error_rate": 0.0, "ok_rate": 1.0, "share": 1.0}
