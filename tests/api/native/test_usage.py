"""Statistics of requests, for whoever may see them."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest

from herding.nodes.prices import ConfiguredPrice
from herding.values import Limit, Request, User
from tests.api.conftest import ADMIN
from tests.support.herding import ADMIN as BOSS
from tests.support.herding import Place
from tests.support.people import principal

USAGE = "/api/v1/usage"


@pytest.fixture
async def ada(place: Place) -> dict[str, str]:
    """The headers of a user with a limit on money, after two requests of theirs and one of a guest."""
    place.herd["echo"].prices = {"*": ConfiguredPrice(input=1_000, output=2_000)}
    await place.accounts.add_user(User("ada", "Ada", "user", limits=(Limit.of("cost", 24, 10),)), BOSS)
    token, text = await place.accounts.create_token("ada", "shop", BOSS)
    for _ in range(2):
        await place.orchestrator.pipeline.run(Request("say", {"text": "hello you"}), principal("ada", "user"))
    await place.orchestrator.pipeline.run(Request("say", {"text": "hi"}), principal("guest:1", "guest"))
    return {"authorization": f"Bearer {text}", "x-token-id": token.id}


async def got(http: httpx.AsyncClient, headers: dict[str, str], **params: str) -> Any:
    response = await http.get(USAGE, params=params, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


async def test_without_parameters_there_are_limits_only(http: httpx.AsyncClient, ada: dict[str, str]) -> None:
    body = await got(http, ada)
    assert body["statistics"] is None
    assert [(use["type"], use["limit"]) for use in body["limits"]][-1] == ("cost", 10)


async def test_everybody_sees_the_statistics_of_their_own_requests(
    http: httpx.AsyncClient, ada: dict[str, str]
) -> None:
    found = (await got(http, ada, group_by="user"))["statistics"]
    assert found["total"] | {"mean_ms": 0, "mean_first_token_ms": 0} == {
        "requests": 2,
        "succeeded": 2,
        "failed": 0,
        "input_tokens": 4,
        "output_tokens": 4,
        "cost": 0.012,
        "priced": 2,
        "mean_ms": 0,
        "mean_first_token_ms": 0,
    }
    assert [group["key"] for group in found["groups"]] == [{"user": "ada"}]
    assert found["groups"][0]["sums"] == found["total"]


async def test_an_admin_sees_those_of_all_users_with_their_money(http: httpx.AsyncClient, ada: dict[str, str]) -> None:
    found = (await got(http, ADMIN, group_by="user"))["statistics"]
    groups = {group["key"]["user"]: group["sums"] for group in found["groups"]}
    assert {user: (sums["requests"], sums["cost"]) for user, sums in groups.items()} == {
        "ada": (2, 0.012),
        "guest:1": (1, 0.003),
    }
    assert found["total"]["cost"] == 0.015
    days = (await got(http, ADMIN, group_by="day,prompt,model"))["statistics"]["groups"]
    assert [(group["key"]["prompt"], group["key"]["model"]) for group in days] == [("say", "echo")]
    assert len(days[0]["key"]["day"]) == 10


async def test_another_user_is_answered_or_refused_and_never_replaced(
    http: httpx.AsyncClient, ada: dict[str, str]
) -> None:
    asked = await got(http, ADMIN, user="ada")
    assert asked["statistics"]["total"]["requests"] == 2
    assert [(use["type"], use["limit"]) for use in asked["limits"]][-1] == ("cost", 10)
    assert (await got(http, ADMIN, user="guest:1"))["statistics"]["total"]["requests"] == 1
    assert (await got(http, ada, user="ada"))["statistics"]["total"]["requests"] == 2
    for path in (USAGE, f"{USAGE}.csv", "/api/v1/history", "/api/v1/history.csv"):
        refused = await http.get(path, params={"user": "guest:1"}, headers=ada)
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "forbidden"), path
    unknown = await http.get(USAGE, params={"user": "nobody"}, headers=ADMIN)
    assert unknown.status_code == 404


async def test_a_token_of_another_user_is_not_found(http: httpx.AsyncClient, ada: dict[str, str]) -> None:
    own = await got(http, ada, token=ada["x-token-id"])
    assert own["statistics"] is not None
    assert (await http.get(USAGE, params={"token": "none"}, headers=ada)).status_code == 404
    assert (await got(http, ADMIN, token="none"))["statistics"]["total"]["requests"] == 0


async def test_a_period_has_all_its_days(http: httpx.AsyncClient, ada: dict[str, str]) -> None:
    params = {"group_by": "day", "from": "2020-01-30", "to": "2020-02-02"}
    found = (await got(http, ADMIN, **params))["statistics"]
    assert [group["key"]["day"] for group in found["groups"]] == [
        "2020-01-30",
        "2020-01-31",
        "2020-02-01",
        "2020-02-02",
    ]
    assert {group["sums"]["requests"] for group in found["groups"]} == {0}
    assert (found["from"], found["to"]) == ("2020-01-30T00:00:00.000+00:00", "2020-02-03T00:00:00.000+00:00")


@pytest.mark.one_database
@pytest.mark.parametrize(
    "params",
    [
        {"group_by": "colour"},
        {"group_by": "user,token,prompt,model"},
        {"from": "yesterday"},
        {"to": "2026-13-01"},
        {"from": "2026-02-02", "to": "2026-02-01"},
        {"status": "fine"},
        {"group_by": "day", "from": "1990-01-01", "to": "2026-01-01"},
    ],
)
async def test_other_parameters_are_refused(http: httpx.AsyncClient, params: dict[str, str]) -> None:
    refused = await http.get(USAGE, params=params, headers=ADMIN)
    assert refused.status_code == 422, refused.text


@pytest.mark.parametrize("name", ["user", "token", "prompt", "model", "node", "kind", "status", "from", "to"])
@pytest.mark.parametrize("path", [USAGE, "/api/v1/history"])
async def test_an_empty_filter_matches_all(http: httpx.AsyncClient, ada: dict[str, str], path: str, name: str) -> None:
    params = {"group_by": "user", name: ""} if path == USAGE else {name: ""}
    response = await http.get(path, params=params, headers=ADMIN)
    assert response.status_code == 200, response.text
    body = response.json()
    assert (body["statistics"]["total"]["requests"] if path == USAGE else body["total"]) == 3


async def test_the_statistics_as_csv(http: httpx.AsyncClient, ada: dict[str, str]) -> None:
    response = await http.get(f"{USAGE}.csv", params={"group_by": "user,model"}, headers=ADMIN)
    assert response.headers["content-disposition"] == 'attachment; filename="usage.csv"'
    rows = list(csv.DictReader(io.StringIO(response.content.decode("utf-8-sig"))))
    facts = [(row["user"], row["model"], row["requests"], row["cost"]) for row in rows]
    assert facts == [("ada", "echo", "2", "0.012"), ("guest:1", "echo", "1", "0.003")]
    by_day = await http.get(f"{USAGE}.csv", headers=ada)
    (row,) = csv.DictReader(io.StringIO(by_day.content.decode("utf-8-sig")))
    assert (len(row["day"]), row["requests"], row["cost"]) == (10, "2", "0.012")


async def test_an_unknown_cost_is_empty_and_null(http: httpx.AsyncClient, place: Place) -> None:
    place.herd["echo"].known_price = lambda model: None  # type: ignore[method-assign]
    await place.orchestrator.pipeline.run(Request("say"), BOSS)
    assert (await got(http, ADMIN, group_by="model"))["statistics"]["total"]["cost"] is None
    text = (await http.get(f"{USAGE}.csv", params={"group_by": "model"}, headers=ADMIN)).content.decode("utf-8-sig")
    assert next(csv.DictReader(io.StringIO(text)))["cost"] == ""
    assert (await http.get("/api/v1/history", headers=ADMIN)).json()["entries"][0]["cost"] is None
