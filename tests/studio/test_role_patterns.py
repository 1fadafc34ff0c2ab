"""Roles that may use some versions of a prompt, and what takes more than the right to save."""

from __future__ import annotations

import asyncio
import io
import logging
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from herding.access.operations import PUBLISH, SAVE, USERS
from herding.access.role_file import Roles
from herding.errors import AccessError, ConfigError, ConflictError, NotFoundError, UserError
from herding.prompts.edits import Edits
from herding.values import Principal, Request
from tests.api.conftest import web
from tests.support.herding import ADMIN, NOBODY, Place, herding
from tests.support.nodes import echo
from tests.support.people import principal

FILE = """
roles:
  guest: {allow_nodes: ["*"], allow_prompts: ["greeting@prod"], allow_api_paths: ["*"], rights: [edit, save]}
  admin: {allow_nodes: ["*"], allow_prompts: ["*"], allow_api_paths: ["*"], allow_tabs: ["*"], rights: ["*"]}
  Team_A:
    allow_nodes: ["*"]
    allow_prompts: ["*"]
    allow_api_paths: ["*"]
    allow_tabs: [Prompts, OwnHistory]
    rights: [save]
"""
ADA, BOB = principal("ada", "user"), principal("bob", "user")


def text(word: str, **more: Any) -> dict[str, Any]:
    return {"name": "Greeting", "target_models": ["echo"], "prompt": word, **more}


def who(*patterns: str) -> Principal:
    """A user who may do all but publish and manage, with these prompts only."""
    return replace(principal("eve", "user"), prompts=patterns)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """Version 2 of a prompt is test, 3 is prod, 5 the newest; another prompt has no label."""
    roles = tmp_path / "roles.yaml"
    roles.write_text(FILE)
    async with herding(tmp_path, echo(), roles=Roles(roles)) as place:
        studio = place.orchestrator.studio
        for number in range(1, 6):
            await studio.save("greeting", text(f"v{number}"), ADMIN)
        await studio.move_label("greeting", "test", 2, ADMIN)
        await studio.move_label("greeting", "prod", 3, ADMIN)
        await studio.save("shop/hello", text("shop"), ADMIN)
        yield place


async def said(place: Place, reference: str, person: Principal) -> str | None:
    """What a run answers; None where there is nothing for this person."""
    with suppress(NotFoundError):
        return (await place.orchestrator.pipeline.run(Request(reference), person)).answer
    return None


VERSIONS = ("", "@prod", "@test", "@newest", "@dev", "@1", "@2", "@3", "@5", "@9")


@pytest.mark.parametrize(
    ("patterns", "answers"),
    [
        (("greeting",), "v3 v3 v2 v5 v5 v1 v2 v3 v5 -"),
        (("greeting@prod",), "v3 v3 - - - - - v3 - -"),
        (("greeting@test",), "v2 - v2 - - - v2 - - -"),
        (("greeting@3",), "v3 v3 - - - - - v3 - -"),
        (("greeting@1",), "v1 - - - - v1 - - - -"),
        (("*@prod",), "v3 v3 - - - - - v3 - -"),
        (("greeting@newest",), "v5 - - v5 v5 - - - v5 -"),
        (("greeting@prod", "greeting@test"), "v3 v3 v2 - - - v2 v3 - -"),
        (("greeting@*",), "v3 v3 v2 v5 v5 v1 v2 v3 v5 -"),
        (("greeting@staging",), "- - - - - - - - - -"),
        (("shop/*@prod", "other"), "- - - - - - - - - -"),
    ],
)
async def test_a_pattern_gives_exactly_its_versions(place: Place, patterns: tuple[str, ...], answers: str) -> None:
    found = [await said(place, f"greeting{version}", who(*patterns)) or "-" for version in VERSIONS]
    assert found == answers.split()


async def test_a_label_that_moves_takes_the_permission_along(place: Place) -> None:
    runner = who("greeting@prod")
    await place.orchestrator.studio.move_label("greeting", "prod", 4, ADMIN)
    assert await said(place, "greeting", runner) == "v4"
    assert await said(place, "greeting@3", runner) is None
    await place.orchestrator.studio.move_label("greeting", "prod", None, ADMIN)
    assert await said(place, "greeting", runner) is None
    assert await place.orchestrator.prompts.list_all(runner) == []


async def test_lists_show_only_these_versions(place: Place) -> None:
    orchestrator, tester = place.orchestrator, who("greeting@test")
    (info,) = await orchestrator.prompts.list_all(tester)
    assert (info.key, info.version, info.newest, dict(info.labels)) == ("greeting", 2, 2, {"test": 2})
    assert [version.number for version in await orchestrator.studio.versions("greeting", tester)] == [2]
    assert dict(await orchestrator.studio.labels("greeting", tester)) == {"test": 2}
    assert [move.label for move in await orchestrator.studio.label_moves("greeting", tester)] == ["test"]
    assert "v2" in await orchestrator.studio.yaml("greeting", None, tester)
    with zipfile.ZipFile(io.BytesIO(await orchestrator.studio.export(tester))) as bundle:
        assert [(name, b"v2" in bundle.read(name)) for name in bundle.namelist()] == [("greeting.yaml", True)]
    for number in (1, 3, 5):
        with pytest.raises(NotFoundError):
            await orchestrator.studio.version("greeting", number, tester)
        with pytest.raises(NotFoundError):
            await orchestrator.studio.diff("greeting", number, 2, tester)
        with pytest.raises(NotFoundError):
            await orchestrator.prompts.get(f"greeting@{number}", tester)


async def test_such_a_role_runs_and_saves_no_drafts(place: Place) -> None:
    orchestrator, runner = place.orchestrator, who("greeting@prod", "greeting@*")
    whole = "name: X\ntarget_models: [echo]\nprompt: mine\n"
    for request in (Request("greeting", template="prompt: mine"), Request("greeting", whole=whole)):
        with pytest.raises(AccessError):
            await orchestrator.pipeline.run(request, runner)
        with pytest.raises(AccessError):
            await orchestrator.pipeline.preview(request, runner)
    for edits in (Edits(template="prompt: mine"), Edits(whole=whole)):
        with pytest.raises(AccessError):
            await orchestrator.drafts.store("greeting", edits, runner)
    await orchestrator.drafts.store("greeting", Edits(parameters={"temperature": 0.5}), runner)
    publisher = replace(runner, rights=runner.rights | {PUBLISH, SAVE})
    for change in (
        orchestrator.studio.save("greeting", text("mine"), publisher),
        orchestrator.studio.delete("greeting", publisher),
        orchestrator.studio.move_label("greeting", "test", 3, publisher),
        orchestrator.studio.undo_label_move("greeting", "test", publisher),
    ):
        with pytest.raises(AccessError):
            await change


async def test_the_same_holds_for_guests_at_every_front_door(place: Place) -> None:
    app = web(place)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://herding.test") as http:
        for version, number in (("", 3), ("@prod", 3), ("@3", 3)):
            ran = await http.post("/api/v1/infer", json={"prompt": f"greeting{version}"})
            assert ran.json()["version"] == number
            assert (await http.get(f"/api/v1/run/greeting{version}")).json()["version"] == number
            body = {"model": f"prompt:greeting{version}", "messages": []}
            assert (await http.post("/v1/chat/completions", json=body)).status_code in (200, 400)
        for version in ("@newest", "@test", "@1", "@5"):
            assert (await http.post("/api/v1/infer", json={"prompt": f"greeting{version}"})).status_code == 404
            assert (await http.get(f"/api/v1/run/greeting{version}")).status_code == 404
            body = {"model": f"prompt:greeting{version}", "messages": [{"role": "user", "content": "x"}]}
            assert (await http.post("/v1/chat/completions", json=body)).status_code == 404
        listed = (await http.get("/api/v1/prompts")).json()["prompts"]
        assert [(prompt["key"], prompt["version"], prompt["labels"]) for prompt in listed] == [
            ("greeting", 3, {"prod": 3})
        ]
        models = [model["id"] for model in (await http.get("/v1/models")).json()["data"]]
        assert [model for model in models if model.startswith("prompt:")] == ["prompt:greeting"]


# Patterns without effect


async def test_patterns_that_match_nothing_are_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    roles = tmp_path / "roles.yaml"
    roles.write_text(
        FILE.replace('"greeting@prod"', "say, say@prod, say@1, say@9, say@newest, Say, 'shop/*', 'nothing@*'")
    )
    async with herding(tmp_path, echo(), roles=Roles(roles)) as place:
        await place.orchestrator.load()
        patterns = place.orchestrator.role_patterns
        found = [warning.split("'")[3] for warning in patterns.unmatched(ADMIN)]
        assert found == ["say@prod", "say@9", "Say", "shop/*", "nothing@*"]
        for person in (NOBODY, replace(ADMIN, rights=ADMIN.rights - {USERS})):
            with pytest.raises(AccessError):
                patterns.unmatched(person)
        watch = asyncio.create_task(patterns.watch())
        with caplog.at_level(logging.WARNING):
            await asyncio.sleep(0)
        watch.cancel()
        assert "Role 'guest': the pattern 'say@9' of allow_prompts matches nothing." in caplog.text


@pytest.mark.parametrize("pattern", ["greeting@", "'@prod'", "a@b@c", "' x'", "'a@b c'"])
def test_a_pattern_that_can_match_nothing_is_refused(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "roles.yaml"
    path.write_text(FILE.replace('"greeting@prod"', pattern))
    with pytest.raises(ConfigError, match="is not a prompt pattern") as caught:
        Roles(path)
    assert caught.value.line == 3


def test_names_of_older_files_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "roles.yaml"
    path.write_text(FILE)
    role = Roles(path).get("Team_A")
    assert role.tabs == ("overview", "history")
    assert SAVE in role.rights
    path.write_text(FILE.replace("[Prompts, OwnHistory]", "[PromptEngineer, Prompts, Nodes, History, OwnHistory]"))
    assert Roles(path).get("Team_A").tabs == ("engineer", "overview", "history", "nodes")
    path.write_text(FILE.replace("Team_A:", "Guest:"))
    with pytest.raises(ConfigError, match="differ only by case"):
        Roles(path)


async def test_a_prompt_can_name_a_role_with_capitals(place: Place) -> None:
    await place.orchestrator.studio.save("secret", text("x", roles=["Team_A"]), ADMIN)
    assert await said(place, "secret", replace(who("*"), role="Team_A")) == "x"
    assert await said(place, "secret", who("*")) is None


# Aliases and roles


async def test_an_alias_needs_the_right_to_publish(place: Place) -> None:
    studio = place.orchestrator.studio
    alias = {"path": "/hello"}
    with pytest.raises(AccessError, match="alias"):
        await studio.save("mine", text("x", alias=alias), ADA)
    await studio.save("mine", text("x", alias=alias), ADMIN)
    await studio.save("mine", text("y", alias=alias), ADA)
    for changed in ({}, {"alias": {"path": "/other"}}):
        with pytest.raises(AccessError, match="alias"):
            await studio.save("mine", text("z", **changed), ADA)
    results = await studio.import_bundle(packed({"new.yaml": "alias: {path: /new}"}), ADA)
    assert results[0].error is not None
    assert "publish" in results[0].error


async def test_an_alias_that_is_taken_is_refused_by_name(place: Place) -> None:
    studio, prompts = place.orchestrator.studio, place.orchestrator.prompts
    await studio.save("b", text("b", alias={"path": "/error"}), ADMIN)
    with pytest.raises(ConflictError, match="/error is the alias of the prompt 'b'"):
        await studio.save("a", text("a", alias={"path": "/error"}), ADMIN)
    assert prompts.resolve_alias("/error") == ("b", {})
    for path in (
        "/Error",
        "/error/",
        "error",
        "/api/x",
        "/v1",
        "/docs",
        "/mcp/x",
        "/gradio_api",
        "//error",
        "/../error",
    ):
        with pytest.raises(UserError, match="alias"):
            await studio.save("a", text("a", alias={"path": path}), ADMIN)
    both = packed({"x.yaml": "alias: {path: /x}", "y.yaml": "alias: {path: /x}"})
    assert [bool(result.error) for result in await studio.import_bundle(both, ADMIN)] == [False, True]
    hidden = replace(ADMIN, role="publisher", prompts=("a", "c"), rights=ADMIN.rights)
    with pytest.raises(ConflictError, match="another prompt"):
        await studio.save("a", text("a", alias={"path": "/error"}), hidden)


async def test_a_label_takes_no_alias_over(place: Place) -> None:
    studio, prompts = place.orchestrator.studio, place.orchestrator.prompts
    await studio.save("a", text("one", alias={"path": "/error"}), ADMIN)
    await studio.save("a", text("two", label="prod"), ADMIN)
    await studio.save("b", text("b", alias={"path": "/error"}), ADMIN)
    assert prompts.resolve_alias("/error") == ("b", {})
    with pytest.raises(ConflictError, match="'b'"):
        await studio.move_label("a", "prod", 1, ADMIN)
    assert prompts.resolve_alias("/error") == ("b", {})


async def test_a_file_takes_no_alias_over(place: Place) -> None:
    prompts, body = place.orchestrator.prompts, "name: X\ntarget_models: [echo]\nprompt: x\nalias: {path: /error}\n"
    place.write("zoo", body)
    await place.orchestrator.load()
    assert prompts.resolve_alias("/error") == ("zoo", {})
    place.write("ant", body)
    await place.orchestrator.load()
    assert prompts.resolve_alias("/error") == ("zoo", {})
    (error,) = await prompts.broken(ADMIN)
    assert error.reason == "/error is the alias of the prompt 'zoo'"
    assert (error.file or "").endswith("ant.yaml")


async def test_roles_of_prompts_of_others_take_the_right_to_publish(place: Place) -> None:
    studio = place.orchestrator.studio
    await studio.save("adas", text("x"), ADA)
    await studio.save("adas", text("x", roles=["Team_A"], label="dev"), replace(ADA, role="Team_A"))
    ada, bob = replace(ADA, role="Team_A"), replace(BOB, role="Team_A")
    await studio.save("adas", text("y", roles=["Team_A", "guest"]), ada)
    await studio.save("adas", text("z", roles=["Team_A", "guest"]), bob)
    for roles in (["Team_A"], None):
        changed = text("z") | ({"roles": roles} if roles else {})
        with pytest.raises(AccessError, match="somebody else"):
            await studio.save("adas", changed, bob)
        await studio.save("adas", changed, replace(bob, rights=bob.rights | {PUBLISH}))
        await studio.save("adas", text("z", roles=["Team_A", "guest"]), ada)


def packed(files: dict[str, str]) -> bytes:
    """A zip of prompts with these lines each."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, lines in files.items():
            made.writestr(name, f"name: X\ntarget_models: [echo]\nprompt: x\n{lines}\n")
    return buffer.getvalue()
