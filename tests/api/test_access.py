"""Oneself, tokens, users and roles over the API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from herding.access.operations import TABS
from herding.access.role_file import Roles
from herding.api.native.accounts import LimitResponse
from herding.store import now_ms
from herding.values import Limit, Request, User
from tests.api.conftest import ADMIN as BY_ADMIN
from tests.api.conftest import client, web
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import echo
from tests.support.people import ROLES

V1 = "/api/v1"
SHIPPED = Path(__file__).parents[2] / "config" / "roles.yaml"
OWN = Limit("request", 1, 7)


@pytest.fixture
async def ada(app: FastAPI, place: Place) -> AsyncIterator[httpx.AsyncClient]:
    """A user with a limit of her own."""
    await place.store.add_user(User("ada", "Ada", "user", (OWN,)))
    async with client(app, await bearer(place, "ada")) as made:
        yield made


@pytest.fixture
async def eve(app: FastAPI, place: Place) -> AsyncIterator[httpx.AsyncClient]:
    await place.store.add_user(User("eve", "Eve", "user"))
    async with client(app, await bearer(place, "eve")) as made:
        yield made


async def bearer(place: Place, user: str) -> dict[str, str]:
    return {"authorization": f"Bearer {(await place.accounts.create_token(user, 'test', ADMIN))[1]}"}


async def got(http: httpx.AsyncClient, path: str) -> Any:
    response = await http.get(f"{V1}/{path}")
    assert response.status_code == 200, response.text
    return response.json()


async def refused(http: httpx.AsyncClient, method: str, path: str, body: Any = None) -> tuple[int, str]:
    response = await http.request(method, f"{V1}/{path}", json=body)
    assert response.status_code >= 400
    return response.status_code, response.json()["error"]["type"]


# Oneself


async def test_a_user_is_told_all_about_themselves(ada: httpx.AsyncClient, place: Place) -> None:
    found = await got(ada, "me")
    [token] = await place.store.tokens("ada")
    user = ROLES.get("user")
    assert found == {
        "id": "ada",
        "name": "Ada",
        "role": "user",
        "rights": sorted(user.rights),
        "tabs": list(user.tabs),
        "nodes": ["*"],
        "prompts": ["*"],
        "limits": [LimitResponse.model_validate(limit).model_dump() for limit in (*user.limits, OWN)],
        "opt_out_history_content": False,
        "stored_drafts": 0,
        "token": {"id": token.id, "expires_at": None},
    }


async def test_a_guest_is_told_what_a_guest_is(http: httpx.AsyncClient) -> None:
    found = await got(http, "me")
    assert (found["role"], found["token"], found["opt_out_history_content"]) == ("guest", None, False)
    assert found["id"].startswith("guest:")
    assert found["name"] == found["id"]


async def test_a_user_may_choose_that_nothing_is_kept(ada: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    for choice in (True, False):
        changed = await ada.patch(f"{V1}/me", json={"opt_out_history_content": choice})
        assert (changed.status_code, changed.json()["opt_out_history_content"]) == (200, choice)
        assert (await got(ada, "me"))["opt_out_history_content"] is choice
    assert await refused(http, "PATCH", "me", {"opt_out_history_content": True}) == (422, "invalid_request")
    wrong: list[Any] = [{}, {"opt_out_history_content": "yes"}, {"opt_out_history_content": True, "role": "admin"}, []]
    for body in wrong:
        assert (await refused(ada, "PATCH", "me", body))[0] == 422
    assert (await got(ada, "me"))["role"] == "user"


async def test_the_use_of_ones_limits(ada: httpx.AsyncClient) -> None:
    before = {(use["type"], use["interval"]): use for use in (await got(ada, "usage"))["limits"]}
    assert before["request", 1] == {"type": "request", "interval": 1, "limit": 7, "used": 0, "frees_at": None}
    assert (await ada.post(f"{V1}/infer", json={"prompt": "say"})).status_code == 200
    after = {(use["type"], use["interval"]): use for use in (await got(ada, "usage"))["limits"]}
    assert {key: use["used"] for key, use in after.items()} == {
        ("request", 24): 1,
        ("token", 24): 8,  # at least our own count
        ("request", 1): 1,
    }
    assert after["request", 1]["frees_at"].endswith("+00:00")


async def test_a_limit_of_ones_own_holds_on_top_of_the_roles(ada: httpx.AsyncClient) -> None:
    answers = [await ada.post(f"{V1}/infer", json={"prompt": "say"}) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 7 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_fresh_cookie_gives_a_guest_no_fresh_limits(place: Place, app: FastAPI) -> None:
    async def used() -> int:
        async with client(app) as newcomer:
            await newcomer.post(f"{V1}/infer", json={"prompt": "say"})
            return int((await got(newcomer, "usage"))["limits"][0]["used"])

    assert [await used() for _ in range(3)] == [1, 2, 3]


async def test_the_tabs_of_each_role(api: httpx.AsyncClient, ada: httpx.AsyncClient, http: httpx.AsyncClient) -> None:
    assert await got(api, "allowed_tabs") == {"tabs": list(TABS)}
    assert await got(ada, "allowed_tabs") == {"tabs": list(ROLES.get("user").tabs)}
    assert await got(http, "allowed_tabs") == {"tabs": list(ROLES.get("guest").tabs)}


# Tokens


async def test_a_token_from_its_making_to_its_end(ada: httpx.AsyncClient, app: FastAPI) -> None:
    made = await ada.post(f"{V1}/tokens", json={"name": "shop", "role": "rater", "expires_in_days": 2})
    assert made.status_code == 201
    answer = made.json()
    text = answer.pop("token")
    assert {name: answer[name] for name in ("user", "name", "role", "created_by")} == {
        "user": "ada",
        "name": "shop",
        "role": "rater",
        "created_by": "ada",
    }
    assert (answer["revoked_at"], answer["last_used_at"]) == (None, None)
    assert text.startswith(f"hl_{answer['id']}_")
    listed = {token["id"]: token for token in (await got(ada, "tokens"))["tokens"]}
    assert listed[answer["id"]] == answer
    async with client(app, {"authorization": f"Bearer {text}"}) as shop:
        found = await got(shop, "me")
        assert (found["id"], found["role"], found["token"]["expires_at"]) == ("ada", "rater", answer["expires_at"])
        gone = await ada.delete(f"{V1}/tokens/{answer['id']}")
        assert (gone.status_code, gone.json()) == (200, {"id": answer["id"], "revoked": True})
        ended = await shop.get(f"{V1}/me")
        assert (ended.status_code, ended.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_rotation_gives_a_new_secret(ada: httpx.AsyncClient, app: FastAPI, place: Place) -> None:
    [old] = await place.store.tokens("ada")
    response = await ada.post(f"{V1}/tokens/{old.id}/rotate")
    assert response.status_code == 201
    new = response.json()
    assert new["id"] != old.id
    assert (await got(ada, "me"))["token"]["id"] == old.id  # for a day
    async with client(app, {"authorization": f"Bearer {new['token']}"}) as fresh:
        assert (await got(fresh, "me"))["id"] == "ada"
    [stored] = [token for token in await place.store.tokens("ada") if token.id == old.id]
    assert stored.expires_at is not None
    assert 0 < stored.expires_at - now_ms() <= 24 * 3600 * 1000


async def test_the_tokens_of_others_are_not_there(
    ada: httpx.AsyncClient, eve: httpx.AsyncClient, api: httpx.AsyncClient, place: Place
) -> None:
    [hers] = await place.store.tokens("eve")
    assert [token["user"] for token in (await got(ada, "tokens"))["tokens"]] == ["ada"]
    assert {token["user"] for token in (await got(api, "tokens"))["tokens"]} == {"ada", "eve"}
    for method, path in (("DELETE", hers.id), ("POST", f"{hers.id}/rotate"), ("DELETE", "0" * 12), ("DELETE", "%00")):
        assert await refused(ada, method, f"tokens/{path}") == (404, "not_found")
    assert await refused(ada, "POST", "tokens", {"user": "eve"}) == (404, "not_found")
    assert await refused(ada, "POST", "tokens", {"user": "ghost"}) == (404, "not_found")
    assert (await got(eve, "me"))["id"] == "eve"


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"role": "admin"}, 403),
        ({"role": "king"}, 422),
        ({"name": ""}, 422),
        ({"name": "x" * 101}, 422),
        ({"expires_in_days": 0}, 422),
        ({"expires_in_days": -1}, 422),
        ({"expires_in_days": 1e-12}, 422),
        ({"expires_in_days": 1e9}, 422),
        ({"expires_at": 5}, 422),
        ({"secret": "mine"}, 422),
        ({"user": 7}, 422),
        ([], 422),
    ],
)
async def test_a_token_that_makes_no_sense_is_refused(
    ada: httpx.AsyncClient, place: Place, body: Any, status: int
) -> None:
    assert (await refused(ada, "POST", "tokens", body))[0] == status
    assert len(await place.store.tokens(None)) == 1


# Users


async def test_a_user_from_their_making_to_their_end(api: httpx.AsyncClient, app: FastAPI, place: Place) -> None:
    limit = {"type": "token", "interval": 24, "limit": 1000}
    made = await api.post(f"{V1}/users", json={"id": "bob", "role": "user", "limits": [limit]})
    assert made.status_code == 201
    found = made.json()
    assert found == await got(api, "users/bob")
    assert found == {
        "id": "bob",
        "name": "bob",
        "role": "user",
        "limits": [limit],
        "opt_out_history_content": False,
        "disabled": False,
        "created_at": found["created_at"],
    }
    async with client(app, await bearer(place, "bob")) as bob:
        changed = await api.patch(f"{V1}/users/bob", json={"name": "Bob", "role": "rater"})
        assert changed.json() == {**found, "name": "Bob", "role": "rater"}
        assert (await got(bob, "me"))["role"] == "rater"
        await api.patch(f"{V1}/users/bob", json={"limits": [], "disabled": True})
        assert (await bob.get(f"{V1}/me")).status_code == 401
        await api.patch(f"{V1}/users/bob", json={"disabled": False})
        assert (await got(bob, "me"))["limits"] == [{"type": "request", "interval": 24, "limit": 500}]
    assert [user["id"] for user in (await got(api, "users"))["users"]] == ["bob"]


async def test_a_user_that_is_not_there(api: httpx.AsyncClient) -> None:
    for method, body in (("GET", None), ("PATCH", {"name": "x"})):
        for id in ("ghost", "%00", "a%20b"):
            assert await refused(api, method, f"users/{id}", body) == (404, "not_found")


@pytest.mark.one_database
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"id": "new"},
        {"id": "", "role": "user"},
        {"id": "guest:1", "role": "user"},
        {"id": "local", "role": "user"},
        {"id": "new", "role": "king"},
        {"id": "new", "role": None},
        {"id": "new", "role": "user", "created_at": 5},
        {"id": "new", "role": "user", "disabled": "yes"},
        {"id": "new", "role": "user", "limits": [{"type": "money", "interval": 1, "limit": 1}]},
        {"id": "new", "role": "user", "limits": [{"type": "token", "interval": 0, "limit": 1}]},
        {"id": "new", "role": "user", "limits": [{"type": "token", "interval": 1, "limit": True}]},
        {"id": "new", "role": "user", "limits": [{"type": "token", "interval": True, "limit": 1}]},
        {"id": "new", "role": "user", "limits": [{"type": "token", "interval": 1, "limit": 1}] * 11},
        {"id": "new", "role": "user", "name": "a\x00b"},
    ],
)
async def test_a_user_that_makes_no_sense_is_refused(api: httpx.AsyncClient, place: Place, body: Any) -> None:
    assert (await refused(api, "POST", "users", body))[0] == 422
    assert await place.store.users() == ()


@pytest.mark.parametrize(
    "asked",
    [
        ("GET", "users", None),
        ("POST", "users", {"id": "new", "role": "rater"}),
        ("GET", "users/ada", None),
        ("PATCH", "users/ada", {"role": "admin"}),
        ("GET", "roles", None),
        ("PUT", "roles", {"text": "roles: {}", "digest": ""}),
    ],
)
async def test_users_and_roles_are_the_admins(
    ada: httpx.AsyncClient, http: httpx.AsyncClient, place: Place, asked: tuple[str, str, Any]
) -> None:
    before = await place.store.users()
    for somebody in (ada, http):
        assert await refused(somebody, *asked) == (403, "forbidden")
    assert await place.store.users() == before


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("POST", ""), ("DELETE", "/x"), ("POST", "/x/rotate")])
async def test_a_guest_has_no_tokens(http: httpx.AsyncClient, method: str, path: str) -> None:
    body: Any = {} if method == "POST" else None
    assert await refused(http, method, f"tokens{path}", body) == (403, "forbidden")


# Roles


@pytest.fixture
async def editor(tmp_path: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Path]]:
    """An admin with a roles file that may be written."""
    file = tmp_path / "roles.yaml"
    file.write_bytes(SHIPPED.read_bytes())
    async with herding(tmp_path, echo(), roles=Roles(file)) as place, client(web(place), BY_ADMIN) as http:
        yield http, file


async def test_roles_are_read_changed_and_in_force(editor: tuple[httpx.AsyncClient, Path]) -> None:
    http, file = editor
    notes = await got(http, "roles")
    assert set(notes) == {"text", "digest", "problem", "warnings"}
    assert (notes["text"], notes["problem"], notes["warnings"]) == (SHIPPED.read_text(), None, [])
    text = notes["text"].replace("/api/v1/usage\n      - /docs", "/api/v1/usage")
    saved = await http.put(f"{V1}/roles", json={"text": text, "digest": notes["digest"]})
    assert (saved.status_code, saved.json()["text"], file.read_text()) == (200, text, text)
    assert (await http.get("/docs", headers={"authorization": "Bearer none"})).status_code == 403
    again = await http.put(f"{V1}/roles", json={"text": notes["text"], "digest": notes["digest"]})
    assert (again.status_code, again.json()["error"]["param"]) == (422, "text")
    assert file.read_text() == text


async def test_a_mistake_in_the_roles_names_its_line(editor: tuple[httpx.AsyncClient, Path]) -> None:
    http, file = editor
    notes = await got(http, "roles")
    text = notes["text"].replace("allow_tabs: [engineer", "allow_tabs: [kitchen", 1)
    response = await http.put(f"{V1}/roles", json={"text": text, "digest": notes["digest"]})
    assert response.status_code == 422
    assert "'kitchen' is not a tab" in response.json()["error"]["message"]
    assert "line 2" in response.json()["error"]["message"]
    assert file.read_text() == notes["text"]


# The history


async def test_one_of_ones_requests_is_forgotten(ada: httpx.AsyncClient, eve: httpx.AsyncClient) -> None:
    ids = []
    for http in (ada, ada, eve):
        body = {"prompt": "say", "variables": {"text": "canary"}}
        ids.append((await http.post(f"{V1}/infer", json=body)).json()["request_id"])
    gone = await ada.delete(f"{V1}/history/{ids[0]}")
    assert (gone.status_code, gone.json()) == (200, {"forgotten": 1})
    for id in (ids[2], "ghost", "%00"):
        assert await refused(ada, "DELETE", f"history/{id}") == (404, "not_found")
    texts = {entry["request_id"]: entry["text"] for entry in (await got(ada, "history"))["entries"]}
    assert texts == {ids[0]: "", ids[1]: "canary"}
    assert (await got(eve, f"history/{ids[2]}"))["text"] == "canary"


async def test_all_of_ones_requests_are_forgotten_and_nobody_elses(
    ada: httpx.AsyncClient, api: httpx.AsyncClient, http: httpx.AsyncClient
) -> None:
    for somebody in (ada, ada, api, http):
        await somebody.post(f"{V1}/infer", json={"prompt": "say", "variables": {"text": "canary"}})
    assert (await ada.delete(f"{V1}/history")).json() == {"forgotten": 2}
    assert (await http.delete(f"{V1}/history")).json() == {"forgotten": 1}
    entries = (await got(api, "history"))["entries"]
    assert sorted(entry["text"] for entry in entries) == ["", "", "", "canary"]
    assert [entry["text"] for entry in entries if entry["principal"] == "admin"] == ["canary"]


async def test_without_the_right_nothing_is_forgotten(app: FastAPI, place: Place) -> None:
    file = place.prompts.parent / "none.yaml"
    file.write_text(SHIPPED.read_text().replace("/api/v1/feedback, /api/v1/history,", "/api/v1/feedback,"))
    async with herding(place.prompts.parent / "b", echo(), roles=Roles(file)) as other:
        await other.store.add_user(User("rob", "Rob", "rater"))
        async with client(web(other), await bearer(other, "rob")) as rob:
            assert await refused(rob, "DELETE", "history") == (403, "forbidden")
            assert await refused(rob, "DELETE", "history/x") == (403, "forbidden")


# Secrets


async def test_no_answer_ever_holds_a_secret_or_its_hash(
    ada: httpx.AsyncClient, api: httpx.AsyncClient, place: Place
) -> None:
    made = (await ada.post(f"{V1}/tokens", json={})).json()
    secret = made["token"].split("_")[2]
    await place.orchestrator.pipeline.run(Request("say"), ADMIN)
    found = [await place.store.credentials(token.id) for token in await place.store.tokens(None)]
    hashes = [one[1] for one in found if one]
    assert len(hashes) == 2
    reads = ("me", "tokens", "users", "users/ada", "usage", "roles", "allowed_tabs", "history", "nodes", "prompts")
    writes = (("PATCH", "me", {"opt_out_history_content": True}), ("DELETE", f"tokens/{made['id']}", None))
    answers = [await http.get(f"{V1}/{path}") for http in (ada, api) for path in reads]
    answers += [await ada.request(method, f"{V1}/{path}", json=body) for method, path, body in writes]
    for answer in answers:
        said = answer.text + json.dumps(dict(answer.headers))
        assert secret not in said
        assert "digest" not in said or answer.url.path.endswith("roles")
        for digest in hashes:
            assert digest.hex() not in said
