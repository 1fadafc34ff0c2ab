"""The Model Context Protocol by the SDK's own client: prompts, tools and history, with the rights of each token."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, TextContent, TextResourceContents

from herding.mcp.sessions import MAX_SESSIONS_EACH
from tests.api.conftest import live
from tests.knowledge.conftest import Words, index_all, text
from tests.mcp.conftest import connect, token_of
from tests.support.herding import ADMIN, ADMIN_TOKEN, Place, herding
from tests.support.nodes import Scripted, echo
from tests.support.until import until

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])
RPC = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@MODES
async def test_prompts_are_listed_with_their_typed_arguments(url: str, mode: str) -> None:
    async with connect(url, mode=mode) as client:
        found = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    assert found.keys() == {"say", "greeting", "endless"}
    assert (found["greeting"].title, found["greeting"].description) == ("Greeting", "Greets somebody.")
    arguments = {argument.name: argument for argument in found["greeting"].arguments or ()}
    assert (arguments["who"].required, arguments["times"].required) == (True, False)
    assert arguments["who"].description == "Name of a person. Type: text (max_chars: 20)."
    assert arguments["times"].description == "Type: integer (default: 2, min: 1, max: 5)."


@MODES
async def test_a_prompt_is_rendered_with_its_arguments(url: str, mode: str) -> None:
    async with connect(url, mode=mode) as client:
        result = await client.get_prompt("greeting", {"who": "Ada"})
        said = [(message.role, message.content.text) for message in result.messages]
        assert said == [("user", "Greet 2 times."), ("user", "Hello Ada")]
        for arguments, words in (
            ({}, "who"),
            ({"who": "x" * 21}, "20 characters"),
            ({"who": "Ada", "times": "nine"}, "times"),
            ({"who": "Ada", "no": "x"}, "no"),
        ):
            with pytest.raises(MCPError, match=words):
                await client.get_prompt("greeting", arguments)


@MODES
async def test_roles_hold(place: Place, url: str, mode: str) -> None:
    async with connect(url, mode=mode) as guest:
        assert {tool.name for tool in (await guest.list_tools()).tools} == {"run_prompt", "rate"}
        with pytest.raises(MCPError, match="There is no prompt 'internal'"):
            await guest.get_prompt("internal")
        refused = await guest.call_tool("run_prompt", {"prompt": "internal"})
        assert refused.is_error
        assert text_of(refused) == "There is no prompt 'internal'."
        refused = await guest.call_tool("search_collection", {"collection": "docs", "text": "x"})
        assert refused.is_error
        assert "lacks the right 'collections'" in text_of(refused)
        assert refused.structured_content["error"]["type"] == "forbidden"
    async with connect(url, await token_of(place, "user"), mode) as user:
        assert {tool.name for tool in (await user.list_tools()).tools} == {"run_prompt", "rate", "search_collection"}
        assert "internal" not in {prompt.name for prompt in (await user.list_prompts()).prompts}
    async with connect(url, ADMIN_TOKEN, mode) as admin:
        assert "internal" in {prompt.name for prompt in (await admin.list_prompts()).prompts}
    assert await place.rows() == []


@MODES
async def test_a_run_is_rated_and_read_in_the_history(place: Place, url: str, mode: str) -> None:
    async with connect(url, await token_of(place, "user", "ada"), mode) as client:
        result = await client.call_tool("run_prompt", {"prompt": "greeting", "variables": {"who": "Ada", "times": 3}})
        assert not result.is_error
        assert "Hello Ada" in text_of(result)
        run = result.structured_content
        assert (run["prompt"], run["model"], run["node"], run["status"]) == ("greeting", "echo", "echo", "succeeded")
        rated = await client.call_tool("rate", {"request_id": run["request_id"], "stars": 4, "comment": "kind"})
        assert rated.structured_content == {"request_id": run["request_id"], "stars": 4, "comment": "kind"}
        (resource,) = (await client.list_resources()).resources
        (contents,) = (await client.read_resource(resource.uri)).contents
        assert isinstance(contents, TextResourceContents)
        entry = json.loads(contents.text)
        assert entry["text"] == run["text"]
        assert entry["variables"] == {"who": "Ada", "times": 3}
        assert entry["ratings"] == [{"user": "ada", "stars": 4, "comment": "kind"}]
    row = await place.row()
    assert (row.request_id, row.principal) == (run["request_id"], "ada")
    async with connect(url, await token_of(place, "user", "bob"), mode) as other:
        assert (await other.list_resources()).resources == []
        with pytest.raises(MCPError, match="Request not found"):
            await other.read_resource(resource.uri)
        refused = await other.call_tool("rate", {"request_id": run["request_id"], "stars": 1})
        assert refused.is_error
        assert text_of(refused) == "Request not found."


async def test_a_search_returns_what_is_in_the_documents(tmp_path: Path) -> None:
    async with herding(tmp_path, echo(), Words()) as place:
        await place.orchestrator.collections.create("docs", ADMIN)
        documents = [text("bread.txt", "Bread is baked in an oven."), text("boat.txt", "A boat tacks into the wind.")]
        await place.orchestrator.collections.add("docs", documents, ADMIN)
        await index_all(place.orchestrator)
        async with live(place) as address, connect(f"{address}/mcp", ADMIN_TOKEN) as client:
            found = await client.call_tool(
                "search_collection", {"collection": "docs", "text": "oven bread", "top_k": 1}
            )
        (match,) = found.structured_content["matches"]
        assert (match["document"], match["text"]) == ("bread.txt", "Bread is baked in an oven.")
        assert match["score"] > 0.9
        assert text_of(found).startswith("[1] bread.txt, line 1\nBread is baked")


async def test_errors_of_tools_say_what_to_do(url: str) -> None:
    async with connect(url, ADMIN_TOKEN) as client:
        for name, arguments, words in (
            ("run_prompt", {"prompt": "greeting", "variables": {"who": "Ada", "times": 9}}, "times"),
            ("run_prompt", {"prompt": "ghost"}, "There is no prompt 'ghost'"),
            ("run_prompt", {}, "prompt: Field required."),
            ("run_prompt", {"prompt": "say", "promt": "x"}, "promt: "),
            ("rate", {"request_id": "x"}, "give stars, a comment, or both"),
            ("rate", {"request_id": "x", "stars": 9}, "stars: "),
            ("rate", {"request_id": "x", "stars": 3}, "Request not found."),
            ("search_collection", {"collection": "none", "text": "x"}, "There is no collection 'none'"),
            ("fly", {}, "There is no tool 'fly'. Tools: run_prompt, rate, search_collection."),
        ):
            refused = await client.call_tool(name, arguments)
            assert refused.is_error
            assert words in text_of(refused), (name, arguments)
        with pytest.raises(MCPError, match="cursor"):
            await client.list_prompts(cursor="x")
        with pytest.raises(MCPError, match="There is no resource"):
            await client.read_resource("file:///etc/passwd")


@MODES
async def test_progress_tells_the_node_and_cancelling_stops_it(
    place: Place, url: str, endless: Scripted, mode: str
) -> None:
    said: list[str | None] = []

    async def progress(_done: float, _total: float | None, message: str | None) -> None:
        said.append(message)

    async with connect(url, ADMIN_TOKEN, mode) as client:
        run = asyncio.create_task(client.call_tool("run_prompt", {"prompt": "endless"}, progress_callback=progress))
        await until(lambda: endless.open == 1)
        await until(lambda: bool(said) and endless.said == 1)
        assert said[0] is not None
        assert said[0].endswith("endless on endless")
        run.cancel()
        await until(lambda: endless.open == 0)
        row = await place.ended_row()
        assert (row.status, row.answer) == ("abandoned", "one ")


async def test_a_wrong_token_is_refused(url: str) -> None:
    async with httpx.AsyncClient() as http:
        headers = {"authorization": "Bearer hl_000000000000_" + "0" * 43, **RPC}
        response = await http.post(url, json=INITIALIZE, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


async def test_pages_of_other_origins_and_other_content_types_are_refused(url: str) -> None:
    async with httpx.AsyncClient() as http:
        for more in ({"origin": "https://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:1"}):
            response = await http.post(url, json=INITIALIZE, headers={**RPC, **more})
            assert response.status_code in (400, 403), more
        plain = {**RPC, "content-type": "text/plain"}
        assert (await http.post(url, content=json.dumps(INITIALIZE), headers=plain)).status_code == 400
        own = await http.post(url, json=INITIALIZE, headers={**RPC, "origin": url.removesuffix("/mcp")})
        assert own.status_code == 200


async def test_a_session_is_its_owners_alone(place: Place, url: str) -> None:
    async with httpx.AsyncClient(headers=RPC) as http:
        tokens = {name: {"authorization": f"Bearer {await token_of(place, 'user', name)}"} for name in ("ada", "bob")}
        opened = await http.post(url, json=INITIALIZE, headers=tokens["ada"])
        session = {"mcp-session-id": opened.headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await http.post(url, json=listing, headers=tokens["ada"] | session)).status_code == 200
        assert (await http.post(url, json=listing, headers=tokens["bob"] | session)).status_code == 404
        assert (await http.post(url, json=listing, headers=session)).status_code == 404


async def test_a_client_that_reconnects_ends_its_own_idle_sessions_only(place: Place, url: str) -> None:
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    async with httpx.AsyncClient(headers=RPC) as http, AsyncExitStack() as streams:
        ada, bob = [{"authorization": f"Bearer {await token_of(place, 'user', name)}"} for name in ("ada", "bob")]

        async def opened(who: dict[str, str]) -> dict[str, str]:
            response = (await http.post(url, json=INITIALIZE, headers=who)).raise_for_status()
            return who | {"mcp-session-id": response.headers["mcp-session-id"]}

        async def status(session: dict[str, str]) -> int:
            return (await http.post(url, json=listing, headers=session)).status_code

        other = await opened(bob)
        sessions = [await opened(ada) for _ in range(MAX_SESSIONS_EACH)]
        listening = await streams.enter_async_context(http.stream("GET", url, headers=sessions[0]))
        assert listening.status_code == 200
        assert await status(sessions[1]) == 200  # now the third was idle longest
        newest = await opened(ada)
        assert [await status(session) for session in sessions[:4]] == [200, 200, 404, 200]
        assert await status(newest) == await status(other) == 200

        for session in (*sessions[1:2], *sessions[3:], newest):
            await streams.enter_async_context(http.stream("GET", url, headers=session))
        refused = await http.post(url, json=INITIALIZE, headers=ada)
        assert (refused.status_code, refused.json()["error"]["message"]) == (503, "Too many open sessions")
        assert await status(other) == 200


@MODES
async def test_it_works_below_a_path(place: Place, mode: str) -> None:
    place.settings = place.settings.model_copy(update={"root_path": "/herding"})
    async with live(place) as address, connect(f"{address}/herding/mcp", mode=mode) as client:
        result = await client.call_tool("run_prompt", {"prompt": "say"})
        assert text_of(result) == "one two three"


async def test_the_sdk_is_loaded_with_the_first_request_only() -> None:
    program = "import sys, herding.main; print(sorted(n for n in sys.modules if n.partition('.')[0] == 'mcp'))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd="."
    )
    out, _ = await process.communicate()
    assert out.strip() == b"[]"
