"""Every door, event and service, for everybody: open exactly where the shipped roles file says so.

The routes, the mounts, the events and the methods of the services are read from the app, and what each needs from the
tables here: a new one without a line in them fails.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from herding.access.operations import ADMINISTER, MANAGE_NODES, PATHS, PUBLISH, SAVE
from herding.api.site.docs import describe
from herding.errors import AccessError, NotFoundError
from herding.main import create
from herding.orchestrator import Orchestrator
from herding.prompts.edits import Edits
from herding.ui.kit.events import REFUSED, GuardedBlocks
from herding.ui.kit.route_filter import is_allowed
from herding.values import HistoryFilter, IndexingJob, NewDocument, Principal, Request, User
from tests.support.herding import ADMIN, ADMIN_TOKEN, NOBODY, Place, herding
from tests.support.nodes import Switchable, echo
from tests.support.people import ROLES, principal

ROOT = Path(__file__).resolve().parents[1]
WRITTEN: dict[str, dict[str, list[str]]] = yaml.safe_load((ROOT / "config" / "roles.yaml").read_text())["roles"]
"""The roles as the file has them, read without the code under test."""

PUBLIC = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("HEAD", "/healthz"),
    ("HEAD", "/readyz"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/logout"),
    ("POST", "/logout"),
}
NO_ROUTE = {"/api", "/api/{path}", "/v1", "/v1/{path}"}
PARTS = {"/docs/{file}": "/docs", "/v1/models/": "/v1/models"}
MORE: dict[tuple[str, str], str] = {
    ("PUT", "/api/v1/prompts/{key}"): SAVE,
    ("DELETE", "/api/v1/prompts/{key}"): PUBLISH,
    ("PUT", "/api/v1/prompts/{key}/labels/{label}"): SAVE,
    ("DELETE", "/api/v1/prompts/{key}/labels/{label}"): SAVE,
    ("POST", "/api/v1/prompts/{key}/labels/{label}/take_back"): SAVE,
    ("POST", "/api/v1/prompts/{key}/resolve"): SAVE,
    ("POST", "/api/v1/prompts.zip"): SAVE,
    ("GET", "/api/v1/conflicts"): SAVE,
    ("POST", "/api/v1/nodes"): MANAGE_NODES,
    ("POST", "/api/v1/insights/{prompt}/reset"): PUBLISH,
    ("POST", "/api/v1/collections"): SAVE,
    ("DELETE", "/api/v1/collections/{collection}"): SAVE,
    ("POST", "/api/v1/collections/{collection}/documents"): SAVE,
    ("DELETE", "/api/v1/collections/{collection}/documents"): SAVE,
    ("GET", "/api/v1/users"): ADMINISTER,
    ("POST", "/api/v1/users"): ADMINISTER,
    ("GET", "/api/v1/users/{user_id}"): ADMINISTER,
    ("PATCH", "/api/v1/users/{user_id}"): ADMINISTER,
    ("DELETE", "/api/v1/users/{user_id}/sessions"): ADMINISTER,
    ("GET", "/api/v1/roles"): ADMINISTER,
    ("PUT", "/api/v1/roles"): ADMINISTER,
}
"""What an operation needs besides its path."""

PAGE = {
    *("/", "/config", "/config/", "/static/{path:path}", "/assets/{path:path}", "/favicon.ico", "/theme.css"),
    *("/robots.txt", "/manifest.json", "/pwa_icon", "/login", "/logout"),
    *("/gradio_api/user", "/gradio_api/login_check", "/gradio_api/app_id", "/gradio_api/info"),
    *("/gradio_api/file={path_or_url:path}", "/gradio_api/file/{path:path}", "/gradio_api/reset"),
    *("/gradio_api/heartbeat/{session_hash}", "/gradio_api/run/{api_name}"),
    *("/gradio_api/call/{api_name}", "/gradio_api/call/{api_name}/{event_id}"),
    *("/gradio_api/call/v2/{api_name}", "/gradio_api/call/v2/{api_name}/{event_id}", "/gradio_api/queue/join"),
    *("/gradio_api/queue/data", "/gradio_api/queue/status", "/gradio_api/cancel", "/gradio_api/startup-events"),
    *("/gradio_api/theme.css", "/gradio_api/upload"),
}
"""Gradio's routes that stay open: the page, and the way to its events, which are checked one by one."""

NO_VISITOR = {"bad token": "hl_000000000000_" + "0" * 43, "no form": "nonsense", "sql": "' OR 1=1--"}


@dataclass
class Site:
    """The whole app, and the headers that make a client somebody of a role."""

    app: FastAPI
    place: Place
    headers: dict[str, dict[str, str]]

    def client(self, role: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://herding.test", headers=self.headers[role])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app sets these; this puts them back."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR", "TMPDIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
        if not os.environ[name]:
            monkeypatch.delenv(name)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with herding(tmp_path, echo(), Switchable("switch", ["one"], models=["one", "two"])) as place:
        headers = {"guest": {}, "operator": {"authorization": f"Bearer {ADMIN_TOKEN}"}}
        for role in set(WRITTEN) - {"guest"}:
            await place.accounts.add_user(User(role, role, role), ADMIN)
            _, text = await place.accounts.create_token(role, "test", ADMIN)
            headers[role] = {"authorization": f"Bearer {text}"}
        yield Site(create(place.parts, place.settings), place, headers)


def expected(role: str, method: str, path: str) -> bool:
    """What the file says, in plain words."""
    written = WRITTEN[role]
    paths, rights = written.get("allow_api_paths", []), written.get("rights", [])
    operations = set(PATHS.values()) if "*" in paths else {PATHS[allowed] for allowed in paths}
    needed = PATHS[PARTS.get(path, path)]
    more = MORE.get((method, path))
    return needed in operations and (more is None or "*" in rights or more in rights)


def operations(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route of ours."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.path_format not in NO_ROUTE:
            yield from ((method, str(route.path_format)) for method in sorted(route.methods or ()))


_bodies: dict[tuple[str, str], Any] = {}


def bodies(app: FastAPI) -> dict[tuple[str, str], Any]:
    """A body that fits, for each operation that takes one: the example of its documentation, which is read once."""
    if not _bodies:
        _bodies.update(_read_bodies(app))
    return _bodies


def _read_bodies(app: FastAPI) -> dict[tuple[str, str], Any]:
    described = describe(app)
    schemas = described["components"]["schemas"]
    found = {}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" in content:  # a bundle is a zip
                schema = content["application/json"]["schema"]
                schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
                assert schema.get("examples"), (
                    f"{method.upper()} {path}: give its request model an example that fits in model_config"
                )
                found[method.upper(), path] = schema["examples"][0]
    return found


def filled(path: str, name: str) -> str:
    """A path with a value in the place of each parameter."""
    values = {
        "prompt": "say",
        "key": name,
        "number": "1",
        "node": "switch",
        "user_id": "rater",
        "file": "swagger-ui.css",
        "model": "echo",
    }
    return path.format_map(_Values(values))


class _Values(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "none"


async def send(site: Site, role: str, method: str, path: str, body: Any) -> httpx.Response:
    async with site.client(role) as client:
        return await client.request(method, filled(path, f"new-{role}"), json=body)


def test_every_role_of_the_file_is_known() -> None:
    assert set(WRITTEN) == set(ROLES.names) >= {"guest", "user", "admin"}


async def test_every_route_is_open_exactly_where_the_roles_file_says(site: Site) -> None:
    examples = bodies(site.app)
    wrong = []
    for method, path in operations(site.app):
        for role in WRITTEN:
            if (method, path) in PUBLIC:
                continue
            status = (await send(site, role, method, path, examples.get((method, path)))).status_code
            if (status not in (401, 403)) != expected(role, method, path) or status == 500:
                wrong.append(f"{role}: {method} {path} -> {status}")
    assert not wrong, "check PATHS in access/operations.py, and MORE here for a right besides:\n" + "\n".join(wrong)


async def test_every_route_is_closed_to_a_wrong_token(site: Site) -> None:
    examples = bodies(site.app)
    wrong = []
    for name, token in NO_VISITOR.items():
        site.headers[name] = {"authorization": f"Bearer {token}"}
        for method, path in operations(site.app):
            answer = await send(site, name, method, path, examples.get((method, path)))
            if answer.status_code not in (401, 429) or "set-cookie" in answer.headers:
                wrong.append(f"{name}: {method} {path} -> {answer.status_code}")
        site.place.authenticator._failures._recent.clear()
        site.place.authenticator._failures._by_address.clear()
    assert wrong == []


async def test_the_public_routes_and_those_with_more_than_a_path_exist(site: Site) -> None:
    found = set(operations(site.app))
    assert PUBLIC | MORE.keys() <= found
    ruled, routed = PATHS.keys() | PARTS.keys(), {path for _, path in found - PUBLIC}
    assert not routed - ruled, f"add {sorted(routed - ruled)} with its operation to PATHS in access/operations.py"
    assert not ruled - routed, f"PATHS in access/operations.py has {sorted(ruled - routed)}, which no route has"


async def test_a_path_that_does_not_exist_is_not_there_for_anybody(site: Site) -> None:
    for role in site.headers:
        for path in ("/api/v1/ghost", "/v1/ghost", "/api/server/ghost", "/gradio_api/deep_link", "/monitoring"):
            assert (await send(site, role, "GET", path, None)).status_code == 404, (role, path)


def gradio_routes(app: FastAPI) -> set[str]:
    """Every route of the mounts, at any depth."""
    mounts = [route.app for route in app.routes if hasattr(getattr(route, "app", None), "get_blocks")]
    assert len(mounts) == 1
    return {path for mount in mounts for path in _paths(mount.routes)}


def _paths(routes: Any) -> Iterator[str]:
    for route in routes:
        if hasattr(route, "path"):
            yield route.path
        else:
            yield from _paths(route.original_router.routes)


async def test_every_route_of_the_mounts_is_known_or_closed(site: Site) -> None:
    unknown = {path for path in gradio_routes(site.app) if is_allowed(path)}
    assert {path.rstrip("/") or "/" for path in unknown} == {path.rstrip("/") or "/" for path in PAGE}
    async with site.client("operator") as admin:
        for path in sorted(gradio_routes(site.app) - unknown):
            for method in ("GET", "POST", "HEAD"):
                assert (await admin.request(method, filled(path.replace(":path", ""), "x"))).status_code in (404, 405)


async def test_the_mounts_are_closed_to_a_wrong_token(site: Site) -> None:
    site.headers["bad"] = {"authorization": f"Bearer {NO_VISITOR['bad token']}"}
    async with site.client("bad") as client:
        for path in sorted(PAGE):
            for method in ("GET", "POST"):
                status = (await client.request(method, path.replace(":path", ""))).status_code
                assert status in (401, 429), (method, path, status)


OPEN_EVENTS = {"Page.load", "Page.follow"}
"""Handlers for everybody: they show nobody more than the role allows."""


@pytest.fixture
def demo(site: Site) -> GuardedBlocks:
    return next(
        route.app.get_blocks() for route in site.app.routes if hasattr(getattr(route, "app", None), "get_blocks")
    )


async def test_every_event_of_gradio_is_for_all_roles_or_for_nobody(
    demo: GuardedBlocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gate alone: what is behind it is another test's matter."""

    async def passed(*_: Any, **__: Any) -> dict[str, Any]:
        return {"data": []}

    monkeypatch.setattr(gr.Blocks, "process_api", passed)
    found: set[str] = set()
    for event in demo.fns.values():
        for who in (None, *(principal("x", role) for role in WRITTEN)):
            request = SimpleNamespace(state=SimpleNamespace(principal=who))
            if who is not None and event.fn is not None:
                assert await demo.process_api(event, [], request=request) == {"data": []}
                found.add(event.fn.__qualname__)
            else:
                with pytest.raises(gr.Error, match=REFUSED[:10]):
                    await demo.process_api(event, [], request=request)
    assert found == OPEN_EVENTS


@pytest.mark.slow
async def test_a_role_with_one_path_may_do_what_is_behind_it_and_no_more(tmp_path: Path) -> None:
    """One role a path, so that no other permission can stand in for the one that is missing."""
    from herding.access.role_file import Roles

    paths = {f"one-{number}": path for number, path in enumerate(sorted(set(PATHS) - {"/docs", "/openapi.json"}))}
    roles = {"guest": {}, "admin": WRITTEN["admin"], **{role: _one(path) for role, path in paths.items()}}
    (tmp_path / "roles.yaml").write_text(yaml.safe_dump({"roles": roles}))
    async with herding(tmp_path, echo(), roles=Roles(tmp_path / "roles.yaml")) as place:
        app = create(place.parts, place.settings, ui=False)
        site, examples = Site(app, place, {}), bodies(app)
        asked = [operation for operation in operations(app) if operation not in PUBLIC]
        for role, path in paths.items():
            await place.accounts.add_user(User(role, role, role), ADMIN)
            _, token = await place.accounts.create_token(role, "test", ADMIN)
            site.headers[role] = {"authorization": f"Bearer {token}"}
            for method, other in asked:
                status = (await send(site, role, method, other, examples.get((method, other)))).status_code
                allowed = PATHS[PARTS.get(other, other)] == PATHS[path] and (method, other) not in MORE
                assert (status not in (401, 403)) == allowed, (path, method, other, status)


def _one(path: str) -> dict[str, Any]:
    return {"allow_api_paths": [path], "allow_nodes": ["*"], "allow_prompts": ["*"]}


# The services of the orchestrator

WITHOUT_PRINCIPAL = {
    "background_tasks": "main.py runs them beside the requests",
    "bots": "tells /healthz the states of bots, and nothing else",
    "load": "main.py calls it at the start",
    "ready": "tells /readyz whether requests can be served, and nothing else",
    "running": "main.py asks while the app stops",
    "tell_bot": "the bots tell their state",
    "stop_accepting": "main.py calls it when the app stops",
    "interrupt_all": "main.py calls it when the app stops",
    "accounts.first_token": "main.py calls it at the first start",
    "accounts.watch": "runs beside the requests",
    "prompts.resolve_alias": "maps a path to a prompt's key; the key is resolved for a principal next",
    "role_patterns.watch": "runs beside the requests",
    "registry.load": "main.py calls it at the start",
}
"""Methods that take no principal, each with its reason."""

HIDING = {"prompts.resolve", "prompts.resolve_request"}
"""Methods to which what a principal may not use does not exist: they raise NotFoundError."""

FILTERING = {"prompts.visible", "prompts.visible_versions", "prompts.visible_among"}
"""Methods that return nothing to a principal who may use nothing."""

ARGUMENTS: dict[str, Any] = {
    "data": {"name": "New", "target_models": ["echo"], "prompt": "hi"},
    "documents": [NewDocument("a.txt", "a.txt", "txt", b"text")],
    "edits": Edits(),
    "given": {"kind": "template", "name": "new", "url": "http://127.0.0.1:9/", "models": ["m"]},
    "job": IndexingJob("none", "say", 1, 1, 0),
    "number": 1,
    "request": Request("say"),
    "stars": 5,
    "texts": ["x"],
    "than": None,
    "user": User("new", "New", "user"),
    "where": HistoryFilter(),
}
"""Values for the arguments that are no text, by name; all others are "say"."""


def service_methods(orchestrator: Orchestrator) -> dict[str, Any]:
    """Every public attribute of the orchestrator's class and of those of its services, by dotted name."""
    services = {f"{name}.": found for name, found in vars(orchestrator).items() if not name.startswith("_")}
    return {
        f"{prefix}{name}": getattr(service, name)
        for prefix, service in {"": orchestrator, **services}.items()
        for name in dir(type(service))
        if not name.startswith("_")
    }


async def answer_of(method: Callable[..., Any], who: Principal) -> Any:
    """The result of a call, or the error that it raises; of a stream, all that it yields."""
    needed = [one for one in inspect.signature(method).parameters.values() if one.default is one.empty]
    arguments = {one.name: who if one.name == "who" else ARGUMENTS.get(one.name, "say") for one in needed}
    try:
        result = method(**arguments)
        if isinstance(result, AsyncIterator):
            return [item async for item in result]
        return await result if inspect.isawaitable(result) else result
    except Exception as error:  # noqa: BLE001 (the error is the answer)
        return error


def refuses(name: str, answer: Any) -> bool:
    """Whether the answer of a method gives nothing away."""
    if isinstance(answer, AccessError):
        return True
    return (name in HIDING and isinstance(answer, NotFoundError)) or (name in FILTERING and answer in ([], frozenset()))


async def test_every_method_of_every_service_refuses_a_principal_without_rights(place: Place) -> None:
    methods = service_methods(place.orchestrator)
    assert len(methods) > 60
    assert WITHOUT_PRINCIPAL.keys() | HIDING | FILTERING <= methods.keys()
    answers = {name: await answer_of(methods[name], NOBODY) for name in methods.keys() - WITHOUT_PRINCIPAL.keys()}
    wrong = [f"{name} -> {answer!r}" for name, answer in answers.items() if not refuses(name, answer)]
    assert not wrong, "call require() for the principal first; ARGUMENTS has values that fit:\n" + "\n".join(wrong)
    assert await place.rows() == []


async def test_no_method_of_a_service_refuses_an_admin(place: Place) -> None:
    methods = service_methods(place.orchestrator)
    for name in sorted(methods.keys() - WITHOUT_PRINCIPAL.keys()):
        answer = await answer_of(methods[name], ADMIN)
        assert not isinstance(answer, AccessError), (name, answer)
