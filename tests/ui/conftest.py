"""The whole web app in this process, with the events of its UI, and the handlers of its page without a browser."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from herding.errors import DeadlineError, NodeError
from herding.main import create
from herding.orchestrator import Orchestrator
from herding.ui.kit.events import GuardedBlocks
from herding.ui.page import Page
from herding.values import Gpu, LoadProgress, NodeStatus, Outcome, Principal, Request, System
from tests.support.herding import ADMIN, Place, herding, write_prompt
from tests.support.nodes import Scripted, Switchable, echo

TOKEN = "a token for tests only"

VARIED = """
    name: Varied
    description: All kinds of variables
    tags: [kinds, test]
    target_models: [echo, nowhere/model]
    variables:
      error: {type: number, default: 1200, min: 0}
      tone: {type: choice, choices: [kind, stern], default: kind}
      loud: {type: boolean, default: false}
      note: {type: text, default: "", required: false, max_chars: 50}
    variants:
      - {name: far, when: "error > 2000", messages: [{role: user, content: "far {{error}} {{tone}} {{loud}} {{note}}"}]}
      - {name: near, when: "error <= 2000", messages: [{role: user, content: "near {{error}} {{tone}}"}]}
    parameters: {temperature: 0.5, max_tokens: 50, stop: ["\\n"]}
    """
CHAT = """
    name: Chat
    chat: true
    target_models: [echo]
    variables:
      message: {type: text, default: hello}
    messages:
      - {role: system, content: Be kind.}
      - {role: user, content: "{{message}}"}
    """
FAILING = """
    name: Failing
    target_models: [broken/model]
    variables:
      text: {type: text, default: x}
    messages: [{role: user, content: "{{text}}"}]
    """
MANY = "name: Many\ntarget_models: [echo]\nvariables:\n" + "".join(
    f"  v{number}: {{type: text, default: d{number}}}\n" for number in range(19)
)
MANY += 'prompt: "{{v0}} {{v17}} {{v18}}"\n'
HOSTILE_TEXT = "<img src=x onerror=alert(1)>${alert(2)}{{#each value}}<script>alert(3)</script>"
HOSTILE = f"""
    name: "{HOSTILE_TEXT}"
    description: "{HOSTILE_TEXT}"
    tags: ["{HOSTILE_TEXT}"]
    target_models: [echo, "{HOSTILE_TEXT}"]
    variables:
      text: {{type: text, default: "{HOSTILE_TEXT}", description: "{HOSTILE_TEXT}"}}
    messages: [{{role: user, content: "{{{{text}}}}"}}]
    checks: {{regex: "never", stop_marker: "{HOSTILE_TEXT[:28]}"}}
    """


class Offering(Switchable):
    """Tells what it can be switched to, and refuses a model that is none."""

    kind = "offering"

    async def status(self) -> NodeStatus:
        return NodeStatus("ready", serves=self.serving, offers=self.models, detail=HOSTILE_TEXT, system=MACHINE)

    async def load(self, model: str) -> AsyncIterator[LoadProgress]:
        if model == "bad/model":
            raise NodeError(f"There is no file of {model}.")
        async for step in super().load(model):
            yield step


MACHINE = System(
    cpu_percent=12.0,
    load_1m=0.5,
    memory_total=8_000_000_000,
    memory_used=7_900_000_000,
    swap_total=0,
    swap_used=0,
    disk_total=100_000_000_000,
    disk_used=1_000_000_000,
    process_memory=500_000_000,
    gpus=(Gpu("Big <b>GPU</b>", 80_000_000_000, 8_000_000_000, 33.0),),
)


def nodes() -> list[Any]:
    """An echo, a slow echo, a node that breaks off, and one that switches models."""
    broken = Scripted("broken", ["half ", DeadlineError(f"Too slow: {HOSTILE_TEXT}")], models=["broken/model"])
    return [
        echo(),
        echo("slow", "slow/model", delay=0.05),
        broken,
        Offering("other", [], models=["new/model", "bad/model"]),
    ]


def write(place: Place) -> None:
    """The prompts of these tests."""
    for key, text in {"varied": VARIED, "chat": CHAT, "failing": FAILING, "hostile": HOSTILE}.items():
        write_prompt(place.prompts, key, text)
    (place.prompts / "many.yaml").write_text(MANY, encoding="utf-8")
    place.library.refresh()


@dataclass(frozen=True, slots=True)
class Piece:
    """HTML of a view, and what its reply asks the page to do."""

    html: str
    told: dict[str, Any]

    def __contains__(self, text: str) -> bool:
        return text in self.html


@cache
def _views(page: Page) -> Starlette:
    return Starlette(routes=list(page.routes()))


@dataclass
class Desktop:
    """The handlers of a page, called as its events call them; `shown` holds what each component got last."""

    place: Place
    page: Page
    demo: GuardedBlocks
    who: Principal = ADMIN
    shown: dict[int, Any] = field(default_factory=dict)

    def request(self, who: Principal | None = None, **query: str) -> Any:
        return SimpleNamespace(state=SimpleNamespace(principal=who or self.who), query_params=query)

    def event(self, name: str) -> Any:
        return next(event for event in self.demo.fns.values() if event.api_name == name)

    def value(self, component: Any) -> Any:
        return self.shown.get(component._id, {}).get("value", getattr(component, "value", None))

    def prop(self, component: Any, name: str) -> Any:
        return self.shown.get(component._id, {}).get(name, getattr(component, name, None))

    async def get(self, path: str, *, who: Principal | None = None, **fields: Any) -> Piece:
        """A piece of a view, such as `overview/list`, as the page asks for it; errors are raised."""
        return await self._ask("GET", path, who, params=fields)

    async def post(self, path: str, *, who: Principal | None = None, **fields: Any) -> Piece:
        """The same with the fields of a form."""
        return await self._ask("POST", path, who, data=fields)

    async def delete(self, path: str, *, who: Principal | None = None, **fields: Any) -> Piece:
        """The same to delete something; the fields are in the address."""
        return await self._ask("DELETE", path, who, params=fields)

    async def _ask(self, method: str, path: str, who: Principal | None, **options: Any) -> Piece:
        asker = who or self.who

        async def views(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {"principal": asker}
            await _views(self.page)(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(views), base_url="http://herding.test") as client:
            response = await client.request(method, f"/ui/{path}", **options)
        assert response.status_code in (200, 204), (path, response.status_code)
        return Piece(response.text, json.loads(response.headers.get("hx-trigger", "{}")))

    async def run(self, prompt: str = "say", **variables: Any) -> Outcome:
        """Run a prompt to its end."""
        return await self.place.orchestrator.pipeline.run(Request(prompt, variables), self.who)

    async def fire(self, name: str, *, who: Principal | None = None, **query: str) -> None:
        """Run an event of the page, whose address has the fields `query`."""
        event = self.event(name)
        updates = await event.fn(self.request(who, **query))
        for component, given in zip(event.outputs, updates, strict=True):
            self.shown.setdefault(component._id, {}).update(given if isinstance(given, dict) else {"value": given})


class Stand:
    """Stands for a service of a page, so that one page serves many tests: hands on to the service of the latest."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._find(), name)
        if type(found).__module__.startswith("herding.") and isinstance(self._find(), Orchestrator):
            return Stand(lambda: getattr(self._find(), name))
        return found


@dataclass
class Layout:
    """A page, which is built once and has the services of one test after the other."""

    orchestrator: Orchestrator
    demo: GuardedBlocks = field(init=False)
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.demo = GuardedBlocks(analytics_enabled=False)
        with self.demo:
            self.page = Page(self.demo, cast(Orchestrator, Stand(lambda: self.orchestrator)))


_layouts: list[Layout] = []


def layout(orchestrator: Orchestrator) -> Layout:
    """The page of this process, from now on with the services of `orchestrator`."""
    if not _layouts:
        _layouts.append(Layout(orchestrator))
    _layouts[0].orchestrator = orchestrator
    return _layouts[0]


@asynccontextmanager
async def opened(home: Path, **options: Any) -> AsyncIterator[Desktop]:
    """A page that has just been opened by the admin; `options` are those of its Herding."""
    async with herding(home, *nodes(), **options) as place:
        write(place)
        built = layout(place.orchestrator)
        desktop = Desktop(place, built.page, built.demo)
        await desktop.fire("page_load", prompt="say")
        yield desktop


@pytest.fixture
async def desktop(tmp_path: Path) -> AsyncIterator[Desktop]:
    """A page that has just been opened by the admin."""
    async with opened(tmp_path) as made:
        yield made


@dataclass
class Served:
    """The web app behind a test client; without the token the caller is a guest."""

    client: TestClient
    demo: GuardedBlocks
    place: Place
    home: Path

    @property
    def events(self) -> list[Any]:
        return list(self.demo.fns.values())

    def id_of(self, name: str) -> int:
        return next(event._id for event in self.events if event.api_name == name)

    def fire(self, event: int, data: list[Any], *, admin: bool = False, session: str = "") -> dict[str, Any]:
        """An event through the queue, as a browser sends it; the message that ends it."""
        session = session or uuid4().hex
        body = {"data": data, "fn_index": event, "session_hash": session, "event_data": None, "trigger_id": None}
        headers = self.headers(admin)
        joined = self.client.post("/gradio_api/queue/join", json=body, headers=headers)
        assert joined.status_code == 200, joined.text
        with self.client.stream("GET", f"/gradio_api/queue/data?session_hash={session}", headers=headers) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
                if message.get("msg") == "process_completed":
                    ended = message
        return ended

    def call(self, name: str, data: list[Any], *, admin: bool = False) -> str:
        """An event by its name, as a script sends it; the whole stream of messages."""
        headers = self.headers(admin)
        joined = self.client.post(f"/gradio_api/call/{name}", json={"data": data}, headers=headers)
        assert joined.status_code == 200, joined.text
        return self.client.get(f"/gradio_api/call/{name}/{joined.json()['event_id']}", headers=headers).text

    def headers(self, admin: bool) -> dict[str, str]:
        return {"authorization": f"Bearer {TOKEN}"} if admin else {}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The app as it stands on the open net: visitors are guests, the token makes an admin."""
    home = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR", "TMPDIR"):
            patch.setenv(name, str(home))  # the app sets them; this puts them back
        context = herding(home, *nodes(), admin_token=TOKEN, host="0.0.0.0")
        place = runner.run(context.__aenter__())
        write(place)
        app = create(place.parts, place.settings)
        demo = next(
            route.app.get_blocks() for route in app.routes if hasattr(getattr(route, "app", None), "get_blocks")
        )
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Served(client, demo, place, home)
        runner.run(context.__aexit__(None, None, None))
