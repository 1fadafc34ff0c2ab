"""Who may do what: rights, one's own requests and others', scores and comments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from herding.access.operations import RATE, RUN
from herding.errors import AccessError, NotFoundError, UserError
from herding.values import HistoryFilter, NodeStats, Principal, Request
from tests.support.herding import ADMIN, GUEST, OTHER, Place, herding
from tests.support.nodes import Switchable, echo
from tests.support.people import RIGHTS

SAY = Request("say")


async def do(steps: AsyncIterator[Any]) -> list[Any]:
    """All that a stream yields."""
    return [step async for step in steps]


async def test_a_guest_may_neither_edit_nor_switch_models(place: Place) -> None:
    with pytest.raises(AccessError, match="'edit'"):
        await place.orchestrator.pipeline.run(Request("say", template="prompt: x"), GUEST)
    with pytest.raises(AccessError, match="'edit'"):
        await place.orchestrator.pipeline.preview(Request("say", template="prompt: x"), GUEST)
    with pytest.raises(AccessError, match="'switch_model'"):
        await do(place.orchestrator.nodes.load_model("echo", "echo", GUEST))
    assert RIGHTS["guest"] < RIGHTS["admin"]


async def test_scores_and_comments_can_be_changed_and_taken_back(place: Place) -> None:
    request_id = (await place.orchestrator.pipeline.run(SAY, GUEST)).request_id
    score = await place.orchestrator.feedback.rate(request_id, 2, GUEST)
    assert (score.stars, score.comment) == (2, None)
    score = await place.orchestrator.feedback.comment(request_id, "so so", GUEST)
    assert (score.stars, score.comment) == (2, "so so")
    assert (await place.orchestrator.feedback.rate(request_id, 5, GUEST)).stars == 5
    entry = await place.orchestrator.history.entry(request_id, GUEST)
    assert (entry.stars, entry.comment) == (5, "so so")
    await place.orchestrator.feedback.rate(request_id, None, GUEST)
    await place.orchestrator.feedback.comment(request_id, "", GUEST)
    entry = await place.orchestrator.history.entry(request_id, GUEST)
    assert (entry.stars, entry.comment) == (None, None)


@pytest.mark.one_database
@pytest.mark.parametrize("stars", [0, 6, -1, True, 2.5, "5", float("nan"), [5]])
async def test_other_numbers_of_stars_are_refused(place: Place, stars: Any) -> None:
    request_id = (await place.orchestrator.pipeline.run(SAY, GUEST)).request_id
    with pytest.raises(UserError):
        await place.orchestrator.feedback.rate(request_id, stars, GUEST)
    assert (await place.orchestrator.history.entry(request_id, GUEST)).stars is None


@pytest.mark.parametrize("text", ["x" * 10_001, "a\x00b", "half \ud83d"])
async def test_a_comment_that_cannot_be_kept_is_refused(place: Place, text: str) -> None:
    request_id = (await place.orchestrator.pipeline.run(SAY, GUEST)).request_id
    with pytest.raises(UserError) as caught:
        await place.orchestrator.feedback.comment(request_id, text, GUEST)
    assert caught.value.param == "comment"
    assert "omment" in caught.value.message


async def test_each_principal_has_a_score_of_their_own(place: Place) -> None:
    request_id = (await place.orchestrator.pipeline.run(SAY, GUEST)).request_id
    await place.orchestrator.feedback.rate(request_id, 1, GUEST)
    await place.orchestrator.feedback.rate(request_id, 5, ADMIN)
    assert (await place.orchestrator.history.entry(request_id, GUEST)).stars == 1
    assert (await place.orchestrator.history.entry(request_id, ADMIN)).stars == 5


async def test_a_guest_does_not_see_the_requests_of_others(place: Place) -> None:
    mine = (await place.orchestrator.pipeline.run(SAY, GUEST)).request_id
    theirs = (await place.orchestrator.pipeline.run(SAY, OTHER)).request_id
    for refused in (
        place.orchestrator.history.entry(theirs, GUEST),
        place.orchestrator.feedback.rate(theirs, 1, GUEST),
        place.orchestrator.feedback.comment(theirs, "x", GUEST),
        place.orchestrator.history.entry("ghost", GUEST),
        place.orchestrator.feedback.rate("ghost", 1, ADMIN),
    ):
        with pytest.raises(NotFoundError):
            await refused
    assert [row.request_id for row in await place.rows(GUEST)] == [mine]
    assert {row.request_id for row in await place.rows(ADMIN)} == {mine, theirs}


async def test_a_filter_does_not_widen_what_a_guest_sees(place: Place) -> None:
    mine = (await place.orchestrator.pipeline.run(SAY, GUEST)).request_id
    await place.orchestrator.pipeline.run(Request("say", {"text": "secret"}), OTHER)
    with pytest.raises(AccessError, match="only your own"):
        await place.orchestrator.history.page(HistoryFilter(principal="guest:2"), GUEST)
    with pytest.raises(AccessError, match="only your own"):
        [entry async for entry in place.orchestrator.history.export(HistoryFilter(principal="guest:2"), GUEST)]
    for where in (HistoryFilter(), HistoryFilter(text="e")):
        page = await place.orchestrator.history.page(where, GUEST)
        exported = [entry.outcome.request_id async for entry in place.orchestrator.history.export(where, GUEST)]
        assert {entry.outcome.request_id for entry in page.entries} | set(exported) <= {mine}
        assert page.total <= 1
    assert (await place.orchestrator.history.page(HistoryFilter(text="secret"), GUEST)).total == 0


async def test_an_admin_may_look_at_one_guest(place: Place) -> None:
    await place.orchestrator.pipeline.run(SAY, GUEST)
    await place.orchestrator.pipeline.run(SAY, OTHER)
    page = await place.orchestrator.history.page(HistoryFilter(principal="guest:2"), ADMIN)
    assert [entry.outcome.principal for entry in page.entries] == ["guest:2"]


async def test_facets_are_narrowed(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("e", "echo")) as place:
        place.write("other", place.library.get("say").file.read_text())
        await place.orchestrator.pipeline.run(SAY, GUEST)
        await place.orchestrator.pipeline.run(Request("other"), OTHER)
        assert (await place.orchestrator.history.facets(GUEST)).prompts == ("say",)
        assert (await place.orchestrator.history.facets(ADMIN)).prompts == ("other", "say")


async def test_somebody_who_only_tries_and_rates_needs_no_history(place: Place) -> None:
    rater = Principal("rater", "rater", frozenset({RUN, RATE}), nodes=("*",), prompts=("*",))
    request_id = (await place.orchestrator.pipeline.run(SAY, rater)).request_id
    assert (await place.orchestrator.feedback.rate(request_id, 4, rater)).stars == 4
    with pytest.raises(NotFoundError):
        await place.orchestrator.pipeline.cancel(request_id, rater)
    with pytest.raises(AccessError):
        await place.orchestrator.history.entry(request_id, rater)


@pytest.mark.parametrize(("offset", "limit", "count"), [(0, 25, 3), (-5, 0, 1), (2, 10_000, 1), (9, 1, 0)])
async def test_pages_keep_their_bounds(place: Place, offset: int, limit: int, count: int) -> None:
    for _ in range(3):
        await place.orchestrator.pipeline.run(SAY, ADMIN)
    page = await place.orchestrator.history.page(HistoryFilter(), ADMIN, offset=offset, limit=limit)
    assert (len(page.entries), page.total) == (count, 3)


async def test_the_list_of_prompts(place: Place) -> None:
    place.write("bad", "name: [")
    await place.orchestrator.pipeline.run(SAY, GUEST)
    (info,) = await place.orchestrator.prompts.list_all(GUEST)
    assert (info.key, info.name, info.stats.uses, info.served) == ("say", "Say", 1, {"echo": ("echo",)})
    assert info.variables["text"]["default"] == "one two three"
    (error,) = await place.orchestrator.prompts.broken(ADMIN)
    assert (error.file or "").endswith("bad.yaml")
    assert list(await place.orchestrator.prompts.broken(GUEST)) == []  # who may not save can't mend it


async def test_the_list_of_prompts_follows_the_files(place: Place) -> None:
    (place.prompts / "new.yaml").write_text("name: New\ntarget_models: [echo]\nprompt: hi\n")
    assert [info.key for info in await place.orchestrator.prompts.list_all(GUEST)] == ["new", "say"]


async def test_the_list_of_nodes(place: Place) -> None:
    await place.orchestrator.pipeline.run(SAY, GUEST)
    (info,) = await place.orchestrator.nodes.list_all(GUEST)
    assert (info.name, info.kind, info.status.state, info.prompts) == ("echo", "echo", "ready", ("say",))
    assert info.stats != NodeStats()
    assert info.stats.requests == 1


async def test_ready_when_a_node_serves(tmp_path: Path) -> None:
    async with herding(tmp_path, Switchable("local", ["one"])) as place:
        assert await place.orchestrator.ready() == "No node serves a model yet."
        await do(place.orchestrator.nodes.load_model("local", "echo", ADMIN))
        assert await place.orchestrator.ready() is None
        with pytest.raises(NotFoundError, match="ghost"):
            await do(place.orchestrator.nodes.load_model("ghost", "echo", ADMIN))
