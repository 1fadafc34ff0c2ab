"""Who may do what: rights, one's own requests and others', scores and comments."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from herding.access.operations import RATE, RUN
from herding.errors import AccessError, NotFoundError, UserError
from herding.orchestrator import Orchestrator
from herding.values import HistoryFilter, NodeStats, Principal, Request
from tests.support.herding import ADMIN, GUEST, NOBODY, OTHER, Place, herding
from tests.support.nodes import Switchable, echo
from tests.support.people import RIGHTS

SAY = Request("say")

CASES: dict[str, Callable[[Orchestrator, Principal], Any]] = {
    "run": lambda o, who: o.run(SAY, who),
    "stream": lambda o, who: o.stream(SAY, who),
    "embed": lambda o, who: o.embed("echo", ["x"], who),
    "cancel": lambda o, who: o.cancel("1", who),
    "preview": lambda o, who: o.preview(SAY, who),
    "rate": lambda o, who: o.rate("1", 5, who),
    "comment": lambda o, who: o.comment("1", "good", who),
    "find": lambda o, who: o.find("say", who),
    "prompt": lambda o, who: o.prompt("say", who),
    "prompts": lambda o, who: o.prompts(who),
    "broken_prompts": lambda o, who: o.broken_prompts(who),
    "history": lambda o, who: o.history(HistoryFilter(), who),
    "export": lambda o, who: o.export(HistoryFilter(), who),
    "request": lambda o, who: o.request("1", who),
    "facets": lambda o, who: o.facets(who),
    "nodes": lambda o, who: o.nodes(who),
    "models": lambda o, who: o.models(who),
    "metrics": lambda o, who: o.metrics(who),
    "sketch": lambda o, who: o.sketch("say", "name: Say\ntarget_models: [echo]\nprompt: hi\n", who),
    "node_events": lambda o, who: o.node_events(who),
    "mend_node": lambda o, who: o.mend_node("echo", who),
    "switch_model": lambda o, who: o.switch_model("echo", "echo", who),
}
OPEN_TO_ALL = {"alias", "follow_demand", "learn", "probe", "read_prompts", "watch_prompts", "ready", "upkeep", "watch"}


def public_methods() -> set[str]:
    return {name for name, _ in inspect.getmembers(Orchestrator, callable) if not name.startswith("_")}


async def do(asked: Any) -> Any:
    """The result of a call, an iteration, or what a plain call gave."""
    if isinstance(asked, AsyncIterator):
        return [item async for item in asked]
    return await asked


def test_every_public_method_has_a_case() -> None:
    assert public_methods() == CASES.keys() | OPEN_TO_ALL


@pytest.mark.parametrize("name", sorted(CASES))
async def test_a_principal_without_rights_may_do_nothing(place: Place, name: str) -> None:
    with pytest.raises(AccessError) as caught:
        await do(CASES[name](place.orchestrator, NOBODY))
    assert "'none'" in caught.value.message
    assert await place.rows() == []


@pytest.mark.parametrize("name", sorted(CASES))
async def test_an_admin_may_do_everything(place: Place, name: str) -> None:
    with contextlib.suppress(UserError):  # the request "1" does not exist, and an echo node cannot switch
        await do(CASES[name](place.orchestrator, ADMIN))


async def test_a_guest_may_neither_edit_nor_switch_models(place: Place) -> None:
    with pytest.raises(AccessError, match="'edit'"):
        await place.orchestrator.run(Request("say", template="prompt: x"), GUEST)
    with pytest.raises(AccessError, match="'edit'"):
        await place.orchestrator.preview(Request("say", template="prompt: x"), GUEST)
    with pytest.raises(AccessError, match="'switch_model'"):
        await do(place.orchestrator.switch_model("echo", "echo", GUEST))
    assert RIGHTS["guest"] < RIGHTS["admin"]


async def test_scores_and_comments_can_be_changed_and_taken_back(place: Place) -> None:
    request_id = (await place.orchestrator.run(SAY, GUEST)).request_id
    score = await place.orchestrator.rate(request_id, 2, GUEST)
    assert (score.stars, score.comment) == (2, None)
    score = await place.orchestrator.comment(request_id, "so so", GUEST)
    assert (score.stars, score.comment) == (2, "so so")
    assert (await place.orchestrator.rate(request_id, 5, GUEST)).stars == 5
    entry = await place.orchestrator.request(request_id, GUEST)
    assert (entry.stars, entry.comment) == (5, "so so")
    await place.orchestrator.rate(request_id, None, GUEST)
    await place.orchestrator.comment(request_id, "", GUEST)
    entry = await place.orchestrator.request(request_id, GUEST)
    assert (entry.stars, entry.comment) == (None, None)


@pytest.mark.parametrize("stars", [0, 6, -1, True, 2.5, "5", float("nan"), [5]])
async def test_other_numbers_of_stars_are_refused(place: Place, stars: Any) -> None:
    request_id = (await place.orchestrator.run(SAY, GUEST)).request_id
    with pytest.raises(UserError):
        await place.orchestrator.rate(request_id, stars, GUEST)
    assert (await place.orchestrator.request(request_id, GUEST)).stars is None


@pytest.mark.parametrize("text", ["x" * 10_001, "a\x00b", "half \ud83d"])
async def test_a_comment_that_cannot_be_kept_is_refused(place: Place, text: str) -> None:
    request_id = (await place.orchestrator.run(SAY, GUEST)).request_id
    with pytest.raises(UserError) as caught:
        await place.orchestrator.comment(request_id, text, GUEST)
    assert caught.value.param == "comment"
    assert "omment" in caught.value.message


async def test_each_principal_has_a_score_of_their_own(place: Place) -> None:
    request_id = (await place.orchestrator.run(SAY, GUEST)).request_id
    await place.orchestrator.rate(request_id, 1, GUEST)
    await place.orchestrator.rate(request_id, 5, ADMIN)
    assert (await place.orchestrator.request(request_id, GUEST)).stars == 1
    assert (await place.orchestrator.request(request_id, ADMIN)).stars == 5


async def test_a_guest_does_not_see_the_requests_of_others(place: Place) -> None:
    mine = (await place.orchestrator.run(SAY, GUEST)).request_id
    theirs = (await place.orchestrator.run(SAY, OTHER)).request_id
    for refused in (
        place.orchestrator.request(theirs, GUEST),
        place.orchestrator.rate(theirs, 1, GUEST),
        place.orchestrator.comment(theirs, "x", GUEST),
        place.orchestrator.request("ghost", GUEST),
        place.orchestrator.rate("ghost", 1, ADMIN),
    ):
        with pytest.raises(NotFoundError):
            await refused
    assert [row.request_id for row in await place.rows(GUEST)] == [mine]
    assert {row.request_id for row in await place.rows(ADMIN)} == {mine, theirs}


async def test_a_filter_does_not_widen_what_a_guest_sees(place: Place) -> None:
    mine = (await place.orchestrator.run(SAY, GUEST)).request_id
    await place.orchestrator.run(Request("say", {"text": "secret"}), OTHER)
    for where in (HistoryFilter(), HistoryFilter(principal="guest:2"), HistoryFilter(text="e")):
        page = await place.orchestrator.history(where, GUEST)
        exported = [entry.outcome.request_id async for entry in place.orchestrator.export(where, GUEST)]
        assert {entry.outcome.request_id for entry in page.entries} | set(exported) <= {mine}
        assert page.total <= 1
    assert (await place.orchestrator.history(HistoryFilter(text="secret"), GUEST)).total == 0


async def test_an_admin_may_look_at_one_guest(place: Place) -> None:
    await place.orchestrator.run(SAY, GUEST)
    await place.orchestrator.run(SAY, OTHER)
    page = await place.orchestrator.history(HistoryFilter(principal="guest:2"), ADMIN)
    assert [entry.outcome.principal for entry in page.entries] == ["guest:2"]


async def test_facets_are_narrowed(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("e", "echo")) as place:
        place.write("other", place.library.get("say").file.read_text())
        await place.orchestrator.run(SAY, GUEST)
        await place.orchestrator.run(Request("other"), OTHER)
        assert (await place.orchestrator.facets(GUEST)).prompts == ("say",)
        assert (await place.orchestrator.facets(ADMIN)).prompts == ("other", "say")


async def test_somebody_who_only_tries_and_rates_needs_no_history(place: Place) -> None:
    rater = Principal("rater", "rater", frozenset({RUN, RATE}), nodes=("*",), prompts=("*",))
    request_id = (await place.orchestrator.run(SAY, rater)).request_id
    assert (await place.orchestrator.rate(request_id, 4, rater)).stars == 4
    with pytest.raises(NotFoundError):
        await place.orchestrator.cancel(request_id, rater)
    with pytest.raises(AccessError):
        await place.orchestrator.request(request_id, rater)


@pytest.mark.parametrize(("offset", "limit", "count"), [(0, 25, 3), (-5, 0, 1), (2, 10_000, 1), (9, 1, 0)])
async def test_pages_keep_their_bounds(place: Place, offset: int, limit: int, count: int) -> None:
    for _ in range(3):
        await place.orchestrator.run(SAY, ADMIN)
    page = await place.orchestrator.history(HistoryFilter(), ADMIN, offset=offset, limit=limit)
    assert (len(page.entries), page.total) == (count, 3)


async def test_the_list_of_prompts(place: Place) -> None:
    place.write("bad", "name: [")
    await place.orchestrator.run(SAY, GUEST)
    (info,) = await place.orchestrator.prompts(GUEST)
    assert (info.key, info.name, info.stats.uses, info.served) == ("say", "Say", 1, {"echo": ("echo",)})
    assert info.variables["text"]["default"] == "one two three"
    (error,) = await place.orchestrator.broken_prompts(GUEST)
    assert (error.file or "").endswith("bad.yaml")


async def test_the_list_of_prompts_follows_the_files(place: Place) -> None:
    (place.prompts / "new.yaml").write_text("name: New\ntarget_models: [echo]\nprompt: hi\n")
    assert [info.key for info in await place.orchestrator.prompts(GUEST)] == ["new", "say"]


async def test_the_list_of_nodes(place: Place) -> None:
    await place.orchestrator.run(SAY, GUEST)
    (info,) = await place.orchestrator.nodes(GUEST)
    assert (info.name, info.kind, info.status.state, info.prompts) == ("echo", "echo", "ready", ("say",))
    assert info.stats != NodeStats()
    assert info.stats.requests == 1


async def test_ready_when_a_node_serves(tmp_path: Path) -> None:
    async with herding(tmp_path, Switchable("local", ["one"])) as place:
        assert await place.orchestrator.ready() == "No node serves a model yet."
        await do(place.orchestrator.switch_model("local", "echo", ADMIN))
        assert await place.orchestrator.ready() is None
        with pytest.raises(NotFoundError, match="ghost"):
            await do(place.orchestrator.switch_model("ghost", "echo", ADMIN))
