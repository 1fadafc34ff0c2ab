"""Whoever wants nothing kept: no text of theirs is in any file, log, history or export; counts, times and stars are."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from herding.errors import BadResponseError, HerdingError, NodeError, StreamInterruptedError, UserError
from herding.nodes.base import Node
from herding.prompts.edits import Edits
from herding.studio.drafts import DisplayedEdits
from herding.values import Delta, Done, Event, HistoryFilter, Message, Parameters, Principal, Request, Started, User
from tests.api.conftest import client, web
from tests.support.database import rows
from tests.support.fakenode import FakeNode
from tests.support.herding import ADMIN, Place, herding
from tests.support.nodes import Scripted, echo, openai
from tests.support.people import principal

CANARY = "canary"
HERS = replace(principal("ada", "admin"), opt_out=True)
ASKED = Request("say", {"text": f"my {CANARY} text"}, parameters=Parameters(stop=(f"{CANARY} stop",)))

STRICT = """
    name: Strict
    target_models: [echo]
    variables: {text: {type: text}}
    messages: [{role: user, content: "{{text}}"}]
    checks: {json_schema: {type: object}, regex: "^nothing$"}
    """


def on_disk(home: Path) -> list[str]:
    """The files of a directory that hold the canary, journals of the database included."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert any(path.name == "herding.sqlite" for path in files)
    return [path.name for path in files if CANARY.encode() in path.read_bytes()]


@asynccontextmanager
async def private(home: Path, *nodes: Node, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Place]:
    """A Herding in which no canary may be left, neither while it works nor after it."""
    caplog.set_level(logging.DEBUG)
    async with herding(home, *(nodes or (echo(),))) as place:
        place.write("strict", STRICT)
        yield place
        assert on_disk(home) == []
        shown = [entry async for entry in place.orchestrator.history.export(HistoryFilter(), ADMIN)]
        shown += (await place.orchestrator.history.page(HistoryFilter(), ADMIN, limit=200)).entries
        assert len(shown) >= 2
        assert CANARY not in repr(shown)
        assert (await place.orchestrator.history.page(HistoryFilter(text=CANARY), ADMIN)).total == 0
    assert on_disk(home) == []
    assert CANARY not in caplog.text
    assert CANARY not in repr([record.__dict__ for record in caplog.records])


async def test_an_answer_is_given_and_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with private(tmp_path, caplog=caplog) as place:
        outcome = await place.orchestrator.pipeline.run(ASKED, HERS)
        assert outcome.answer == f"my {CANARY} text"
        row = await place.row()
        assert (row.status, row.usage, row.timings) == ("succeeded", outcome.usage, outcome.timings)
        assert row.usage.output_tokens == 3
        assert (row.model, row.node, row.prompt, row.version) == ("echo", "echo", "say", 1)
        assert (row.variables, row.input, row.answer, row.parameters) == ({}, "", "", Parameters())


async def test_the_same_text_of_somebody_else_is_found(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        await place.orchestrator.pipeline.run(ASKED, replace(HERS, opt_out=False))
        assert on_disk(tmp_path) != []


REQUESTS = {
    "a prompt": ASKED,
    "an edited template": replace(ASKED, template=f'messages: [{{role: user, content: "{CANARY} {{{{text}}}}"}}]'),
    "a chat": Request(messages=(Message("system", f"be {CANARY}"), Message("user", f"hi {CANARY}")), model="echo"),
    "a raw text": Request(text=f"{CANARY} once", model="echo"),
    "earlier turns": replace(ASKED, turns=(Message("user", f"{CANARY}?"), Message("assistant", f"{CANARY}!"))),
    "a failed check": Request("strict", {"text": f"{CANARY} is no JSON"}),
    "a model that is not there": replace(ASKED, model=f"{CANARY}/model"),
    "a chat with a model that is not there": Request(text=f"{CANARY} once", model=f"{CANARY}/model"),
    "no such variable": Request("say", {CANARY: CANARY}),
    "no such prompt": Request(CANARY),
    "a session": replace(ASKED, session_id=f"{CANARY}-session", turns=()),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_nothing_of_a_request_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str) -> None:
    async with private(tmp_path, caplog=caplog) as place:
        await place.orchestrator.pipeline.run(Request("say"), HERS)
        with suppress(HerdingError):
            await place.orchestrator.pipeline.run(REQUESTS[name], HERS)


async def test_an_edited_template_runs_and_is_not_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with private(tmp_path, caplog=caplog) as place:
        outcome = await place.orchestrator.pipeline.run(REQUESTS["an edited template"], HERS)
        assert outcome.answer == f"{CANARY} my {CANARY} text"
        assert (await place.row()).edited


FAULTS: dict[str, list[str | Exception]] = {
    "failed": [BadResponseError(f"you said {CANARY}")],
    "partial": [f"{CANARY} one", StreamInterruptedError(f"cut after {CANARY}")],
    "a bug": [RuntimeError(f"broken by {CANARY}")],
    "a bug in the middle": [f"{CANARY} one", RuntimeError(f"broken by {CANARY}")],
    "refused": [UserError(f"no {CANARY} here")],
}


@pytest.mark.parametrize("name", FAULTS)
async def test_nothing_of_a_failure_is_kept_even_where_it_repeats_the_input(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    async with private(tmp_path, Scripted("a", FAULTS[name]), caplog=caplog) as place:
        for who in (HERS, HERS):
            with pytest.raises((NodeError, UserError)) as caught:
                await place.orchestrator.pipeline.run(ASKED, who)
            assert CANARY in caught.value.message  # its caller may read it
        row = (await place.rows())[0]
        assert row.status in ("failed", "partial")
        assert row.error is None
        assert row.error_type is not None
        assert [(attempt.error, attempt.error_type is not None) for attempt in row.attempts] == [(None, True)]


async def test_nothing_of_a_request_is_kept_while_it_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    node = Scripted("a", [f"{CANARY} one"], ends=False)
    async with private(tmp_path, node, caplog=caplog) as place:
        async with aclosing(place.orchestrator.pipeline.stream(ASKED, HERS)) as events:
            async for event in events:
                assert on_disk(tmp_path) == []
                if isinstance(event, Delta):
                    break
        assert (await place.row()).status == "abandoned"


async def test_nothing_of_a_stopped_request_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    node = Scripted("a", [f"{CANARY} one"], ends=False)
    async with private(tmp_path, node, caplog=caplog) as place:
        request_id = ""
        async for event in place.orchestrator.pipeline.stream(ASKED, HERS):
            if isinstance(event, Started):
                request_id = event.request_id
            elif isinstance(event, Delta):
                await place.orchestrator.pipeline.cancel(request_id, HERS)
            elif isinstance(event, Done):
                assert event.outcome.answer == f"{CANARY} one"
        assert (await place.row()).status == "cancelled"


@pytest.mark.parametrize("fault", ["ok", "status:500", "context-length", "badjson"])
async def test_nothing_of_a_call_of_a_hosted_node_is_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, faulty: FakeNode, fault: str
) -> None:
    node = openai(faulty.url, fault, embedding_models=["words"])
    async with private(tmp_path, node, caplog=caplog) as place:
        chat = Request(messages=(Message("user", f"hi {CANARY}"),), model=fault, parameters=Parameters(stop=(CANARY,)))
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"title": CANARY}}}
        for request in (chat, replace(chat, response_format=form)):
            with suppress(HerdingError):
                await place.orchestrator.pipeline.run(request, HERS)
        for texts in ([f"embed {CANARY}"], [CANARY] * 3):
            with suppress(HerdingError):
                await place.orchestrator.pipeline.embed("words", texts, HERS)
        assert CANARY in json.dumps([seen.body for seen in faulty.calls()])


async def test_stars_are_kept_and_comments_are_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with private(tmp_path, caplog=caplog) as place:
        request_id = (await place.orchestrator.pipeline.run(ASKED, HERS)).request_id
        with pytest.raises(UserError, match="no texts of yours are kept"):
            await place.orchestrator.feedback.comment(request_id, f"{CANARY}!", HERS)
        assert (await place.orchestrator.feedback.comment(request_id, "", HERS)).comment is None
        await place.orchestrator.feedback.rate(request_id, 4, HERS)
        entry = await place.orchestrator.history.entry(request_id, HERS)
        assert (entry.stars, entry.comment) == (4, None)
        [info] = [info for info in await place.orchestrator.prompts.list_all(HERS) if info.key == "say"]
        assert (info.stats.uses, info.stats.rated, info.stats.mean_stars) == (1, 1, 4.0)


async def test_a_session_is_not_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with private(tmp_path, caplog=caplog) as place:
        await place.orchestrator.pipeline.run(ASKED, HERS)
        chat = Request(messages=(Message("user", CANARY),), model="echo", session_id=f"{CANARY}-1")
        with pytest.raises(UserError, match="Sessions need stored content"):
            await place.orchestrator.pipeline.run(chat, HERS)


# Over HTTP, by choice


@asynccontextmanager
async def adas(place: Place) -> AsyncIterator[httpx.AsyncClient]:
    await place.store.add_user(User("ada", "Ada", "user"))
    _, token = await place.accounts.create_token("ada", "x", ADMIN)
    async with client(web(place), {"authorization": f"Bearer {token}"}) as http:
        yield http


async def test_the_choice_counts_from_the_next_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "herding")
    body = {"prompt": "say", "variables": {"text": f"my {CANARY}"}, "parameters": {"stop": [f"{CANARY}!"]}}
    async with herding(tmp_path, echo()) as place, adas(place) as http:
        before = (await http.post("/api/v1/infer", json={"prompt": "say", "variables": {"text": "kept"}})).json()
        assert (await http.patch("/api/v1/me", json={"opt_out_history_content": True})).status_code == 200
        answer = (await http.post("/api/v1/infer", json=body)).json()
        assert answer["text"] == f"my {CANARY}"
        stream = await http.post("/api/v1/infer", json={**body, "stream": True})
        assert CANARY in stream.text
        messages = [{"role": "user", "content": CANARY}]
        said = await http.post("/v1/chat/completions", json={"model": "echo", "messages": messages})
        assert said.json()["choices"][0]["message"]["content"] == CANARY
        await http.get("/api/v1/run/say", params={"text": CANARY})
        refused = await http.post("/api/v1/feedback", json={"request_id": answer["request_id"], "comment": CANARY})
        assert (refused.status_code, refused.json()["error"]["param"]) == (422, "comment")
        scored = await http.post("/api/v1/score", json={"request_id": answer["request_id"], "score": 5})
        assert scored.json()["score"] == 5
        shown = [
            (await http.get(path)).text
            for path in ("/api/v1/history", "/api/v1/history.csv", "/api/v1/history.jsonl", "/api/v1/usage")
        ]
        assert CANARY not in "".join(shown)
        entries = {entry["request_id"]: entry for entry in json.loads(shown[0])["entries"]}
        assert len(entries) == 5
        assert entries[before["request_id"]]["text"] == "kept"  # what was before stays until it is deleted
        hers = entries[answer["request_id"]]
        assert (hers["text"], hers["variables"], hers["input"], hers["parameters"]) == ("", {}, "", {})
        assert (hers["score"], hers["usage"], hers["status"]) == (5, answer["usage"], "succeeded")
        assert on_disk(tmp_path) == []
        assert (await http.delete("/api/v1/history")).json() == {"forgotten": 5}
    assert on_disk(tmp_path) == []
    assert CANARY not in caplog.text


async def test_of_whoever_takes_the_choice_back_texts_are_kept_again(tmp_path: Path) -> None:
    body = {"prompt": "say", "variables": {"text": f"my {CANARY}"}}
    async with herding(tmp_path, echo()) as place, adas(place) as http:
        for choice, kept in ((True, ""), (False, f"my {CANARY}")):
            await http.patch("/api/v1/me", json={"opt_out_history_content": choice})
            answer = (await http.post("/api/v1/infer", json=body)).json()
            entry = (await http.get(f"/api/v1/history/{answer['request_id']}")).json()
            assert entry["text"] == kept


async def test_a_weaker_token_keeps_as_little(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        await place.store.add_user(User("ada", "Ada", "user", opt_out=True))
        _, token = await place.accounts.create_token("ada", "x", ADMIN, role="rater")
        who: Principal = await place.authenticator.authenticate_token(token, "192.0.2.1")
        await place.orchestrator.pipeline.run(ASKED, who)
        assert on_disk(tmp_path) == []


async def take_away(how: str, place: Place, who: Principal, request_id: str) -> None:
    if how == "opt out":
        await place.accounts.opt_out(True, who)
    elif how == "an admin opts them out":
        await place.accounts.change_user(replace(await place.accounts.user(who.id, ADMIN), opt_out=True), ADMIN)
    else:
        await place.accounts.forget(None if how == "delete all" else [request_id], who)


@pytest.mark.parametrize("how", ["opt out", "an admin opts them out", "delete all", "delete this one"])
async def test_what_runs_while_texts_are_taken_away_keeps_none_when_it_ends(tmp_path: Path, how: str) -> None:
    async with herding(tmp_path, Scripted("a", [f"{CANARY} one"], ends=False)) as place:
        people = {}
        for name in ("ada", "bob"):
            await place.store.add_user(User(name, name, "user"))
            _, token = await place.accounts.create_token(name, "x", ADMIN)
            people[name] = await place.authenticator.authenticate_token(token, "192.0.2.1")
        hers, his = (place.orchestrator.pipeline.stream(ASKED, who) for who in people.values())
        async with aclosing(hers), aclosing(his):
            ids = [await begun(stream) for stream in (hers, his)]
            await take_away(how, place, people["ada"], ids[0])
        kept = {row.request_id: row for row in await place.rows()}
        row, other = (kept[request_id] for request_id in ids)
        assert (row.status, row.input, row.answer, dict(row.variables)) == ("abandoned", "", "", {})
        assert row.parameters.stop == ()
        assert CANARY in other.answer


async def begun(stream: AsyncIterator[Event]) -> str:
    """The id of a request whose answer has begun."""
    request_id = ""
    async for event in stream:
        if isinstance(event, Started):
            request_id = event.request_id
        if isinstance(event, Delta):
            break
    return request_id


# Drafts


async def test_of_who_opted_out_no_draft_is_stored_anywhere(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place, adas(place) as http:
        path = "/api/v1/prompts/say/draft"
        assert (await http.put(path, json={"variables": {"text": "kept"}})).status_code == 200
        chosen = await http.patch("/api/v1/me", json={"opt_out_history_content": True})
        assert chosen.json()["stored_drafts"] == 1
        for body in ({"variables": {"text": CANARY}}, {"template": f"{CANARY} {{{{text}}}}"}):
            refused = await http.put(path, json=body)
            assert (refused.status_code, refused.json()["error"]["type"]) == (409, "conflict")
            assert "not stored" in refused.json()["error"]["message"]
        await http.post("/api/v1/infer", json={"prompt": "say", "variables": {"text": CANARY}})
        assert not any(CANARY in row for row in rows(tmp_path / "herding.sqlite"))
        assert (await http.get(path)).json()["variables"] == {"text": "kept"}  # until she deletes it
        chosen = await http.patch("/api/v1/me", json={"opt_out_history_content": True, "delete_drafts": True})
        assert chosen.json()["stored_drafts"] == 0
        assert (await http.get(path)).status_code == 404
        assert await place.store.draft_steps("ada", "say") == ()
        assert not any("kept" in row for row in rows(tmp_path / "herding.sqlite"))
        await http.patch("/api/v1/me", json={"opt_out_history_content": False})
        assert (await http.put(path, json={"variables": {"text": "again"}})).status_code == 200


async def test_a_version_that_is_saved_leaves_no_draft_of_who_opted_out(tmp_path: Path) -> None:
    async with herding(tmp_path, echo()) as place:
        who = replace(principal("ada", "admin"), opt_out=True)
        edits = Edits(variables={"text": CANARY}, template='prompt: "hello {{text}}"')
        await place.orchestrator.drafts.save("say", who, shown=DisplayedEdits(edits, 1))
        assert not any(CANARY in row for row in rows(tmp_path / "herding.sqlite"))
