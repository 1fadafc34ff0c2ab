"""Insights: the matrix of versions and models, who answers next, and a new beginning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from textwrap import dedent
from typing import Any

import pytest

from herding.access.operations import INSIGHTS, MODELS, PUBLISH
from herding.errors import AccessError, ConnectError, NotFoundError, StatusError, UserError
from herding.evaluation.insights import DAY_MS, Insights
from herding.evaluation.version_matrix import (
    RequestBucket,
    VersionModelStats,
    build_matrix,
    count_over_time,
    percentile,
)
from herding.values import AttemptStats, ModelStats, Principal, Request
from tests.support.herding import ADMIN, GUEST, NOBODY, Place, herding
from tests.support.nodes import Scripted, echo
from tests.support.people import principal

USER = principal("ada", "user")
DUEL = """
    name: Duel
    target_models: [good, bad, away]
    variables: {text: {type: text, default: one two three}}
    messages: [{role: user, content: "{{text}}"}]
    """


def tried(model: str, version: int = 1, **facts: Any) -> AttemptStats:
    """A try that answered, unless `facts` say otherwise."""
    given = {"edited": False, "at": 0, "ok": True, "checks_passed": None, "total_ms": 10.0}
    return AttemptStats(version=version, model=model, **{**given, "input_tokens": 0, "output_tokens": 0, **facts})


def test_the_figures_of_a_cell_are_those_of_its_tries() -> None:
    tries = [
        tried("m", total_ms=100.0 * number, input_tokens=10, output_tokens=number, checks_passed=number != 1)
        for number in range(1, 11)
    ]
    tries[0] = tried("m", total_ms=100.0, input_tokens=10, output_tokens=1, checks_passed=False, stars=(5, 4))
    tries += [tried("m", ok=False, total_ms=60_000.0, input_tokens=999, output_tokens=999)] * 2
    (cell,) = build_matrix(tries, 1, {"m": 0.25})
    assert (cell.requests, cell.errors, cell.error_rate) == (12, 2, pytest.approx(1 / 6))
    assert cell.check_failure_rate == pytest.approx(0.1)
    assert (cell.p50_ms, cell.p95_ms) == (500.0, 1000.0)
    assert (cell.input_tokens, cell.output_tokens) == (10.0, 5.5)
    assert (cell.rated, cell.mean_stars) == (2, 4.5)
    # Two ratings, 5 and 4: their spread is 0.71, and 1.96 * 0.71 / sqrt(2) = 0.98.
    assert cell.low == pytest.approx(3.52, abs=0.001)
    assert cell.high == 5.0
    assert cell.share == 0.25


def test_where_nothing_is_behind_a_figure_it_is_none() -> None:
    nothing = dict.fromkeys(
        [
            "error_rate",
            "check_failure_rate",
            "mean_stars",
            "low",
            "high",
            "p50_ms",
            "p95_ms",
            "input_tokens",
            "output_tokens",
        ]
    )
    (cell,) = build_matrix([], 4, {"m": None})
    assert cell == VersionModelStats(
        version=4, edited=False, model="m", requests=0, errors=0, rated=0, share=None, **nothing
    )
    (cell,) = build_matrix([tried("m", ok=False)], 4, {})
    assert cell == VersionModelStats(
        version=1, edited=False, model="m", requests=1, errors=1, rated=0, **nothing | {"error_rate": 1.0}
    )


def test_the_newest_version_comes_first_and_what_was_edited_stands_apart() -> None:
    tries = [tried("b", 1), tried("x", 2), tried("b", 2, edited=True), tried("y", 2), tried("y", 2), tried("a", 3)]
    cells = build_matrix(tries, 2, {"b": 0.4, "a": 0.6})
    assert [(cell.version, cell.edited, cell.model, cell.requests, cell.share) for cell in cells] == [
        (3, False, "a", 1, None),
        (2, False, "b", 0, 0.4),
        (2, False, "a", 0, 0.6),
        (2, False, "y", 2, None),
        (2, False, "x", 1, None),
        (2, True, "b", 1, None),
        (1, False, "b", 1, None),
    ]


@pytest.mark.parametrize(
    ("count", "part", "expected"),
    [(0, 0.5, None), (1, 0.5, 1), (1, 0.95, 1), (2, 0.5, 1), (3, 0.5, 2), (20, 0.95, 19), (21, 0.95, 20), (5, 0.0, 1)],
)
def test_a_quantile_is_the_nearest_rank(count: int, part: float, expected: int | None) -> None:
    assert percentile(range(1, count + 1), part) == expected


def test_tries_are_counted_in_buckets_of_time() -> None:
    tries = [tried("a", at=99), tried("a", at=100), tried("b", at=150), tried("a", at=199), tried("a", at=350)]
    assert count_over_time(tries, 100) == (
        RequestBucket(0, "a", 1),
        RequestBucket(100, "a", 2),
        RequestBucket(100, "b", 1),
        RequestBucket(300, "a", 1),
    )


async def run(place: Place, model: str, stars: int | None = None, who: Principal = ADMIN, times: int = 1) -> None:
    """Requests of the prompt, answered by a model and rated."""
    for _ in range(times):
        outcome = await place.orchestrator.pipeline.run(Request("duel", model=model), who)
        if stars is not None:
            await place.orchestrator.feedback.rate(outcome.request_id, stars, who)


async def test_what_was_run_and_rated_is_seen_at_once(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "good"), echo("two", "bad")) as place:
        place.write("duel", DUEL)
        await run(place, "good", 5, times=12)
        await run(place, "bad", 1, times=6)
        found = await place.orchestrator.insights.get("duel", USER)
    assert (found.prompt, found.version, found.total, found.read, found.reset) == ("duel", 1, 18, 18, None)
    assert found.until - found.since == 30 * DAY_MS
    good, bad, away = found.cells
    assert [cell.model for cell in found.cells] == ["good", "bad", "away"]
    assert (good.requests, good.rated, good.mean_stars, good.errors) == (12, 12, 5.0, 0)
    assert (bad.requests, bad.rated, bad.mean_stars, bad.error_rate) == (6, 6, 1.0, 0.0)
    assert (away.requests, away.p95_ms, away.share) == (0, None, 0.0)
    assert good.share + bad.share == pytest.approx(1.0)
    assert good.share > 0.8 > bad.share > 0
    assert good.output_tokens == 3.0
    assert sum(bucket.requests for bucket in found.buckets) == 18
    first, second, third = found.models
    assert (first.share, second.share, third.share) == (good.share, bad.share, 0.0)
    assert first.quality > second.quality
    assert first.why.startswith("5.0 stars from 12 ratings; no failures in 12 requests; mean latency ")
    assert (first.against, third.against) == (None, "no node serves it now")


async def test_the_share_is_what_the_next_request_is_chosen_by(tmp_path: Path) -> None:
    nodes = [echo("one", "good"), echo("two", "bad")]
    async with herding(tmp_path, *nodes, rng=Random(7)) as place:
        place.write("duel", DUEL)
        await run(place, "good", 5, times=8)
        await run(place, "bad", 4, times=8)
        seen = await place.orchestrator.insights.get("duel", USER)
        outcome = await place.orchestrator.pipeline.run(Request("duel"), ADMIN)
        shares = {one.model: one.share for one in outcome.candidates}
    assert {model.model: model.share or None for model in seen.models} == shares


async def test_a_failure_is_an_error_of_its_model_and_opted_out_people_count(tmp_path: Path) -> None:
    failing = Scripted("one", [StatusError("It said 500.", status=500)], models=["good"])
    async with herding(tmp_path, failing, echo("two", "bad")) as place:
        place.write("duel", DUEL)
        quiet = replace(principal("quiet", "user"), opt_out=True)
        outcome = await place.orchestrator.pipeline.run(Request("duel"), quiet)
        found = await place.orchestrator.insights.get("duel", USER, days=7)
    assert outcome.model == "bad"
    assert [(cell.model, cell.requests, cell.errors) for cell in found.cells] == [
        ("good", 1, 1),
        ("bad", 1, 0),
        ("away", 0, 0),
    ]
    assert found.total == 1


async def test_a_pinned_model_and_one_whose_node_is_out_say_so(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "good"), echo("two", "bad")) as place:
        place.write("duel", dedent(DUEL) + "routing: {pinned: bad}\n")
        place.write("free", DUEL)
        health = place.herd.health
        while permit := health.acquire("one"):
            permit.failed(ConnectError("It is away."))
        pinned = await place.orchestrator.insights.get("duel", USER)
        free = await place.orchestrator.insights.get("free", USER)
    assert [(model.share, model.against) for model in pinned.models] == [
        (0.0, "bad is pinned for this prompt"),
        (1.0, None),
        (0.0, "bad is pinned for this prompt"),
    ]
    assert (free.models[0].share, free.models[0].against) == (0.0, "one is being retried")  # no other serves it
    assert free.models[1].share == 1.0


@pytest.mark.parametrize(("policy", "share"), [("least_busy", None), ("round_robin", 0.5), ("success_share", 0.5)])
async def test_other_policies_tell_their_shares_where_they_have_some(
    tmp_path: Path, policy: str, share: float | None
) -> None:
    async with herding(tmp_path, echo("one", "good"), echo("two", "bad")) as place:
        place.write("duel", f"name: Duel\ntarget_models: [good, bad]\nprompt: hi\nrouting: {{policy: {policy}}}\n")
        found = await place.orchestrator.insights.get("duel", USER)
    assert [model.share for model in found.models] == [share, share]
    assert found.routing.policy == policy


async def versioned(place: Place) -> None:
    """A prompt with two versions, of which `prod` is the first, and requests of both and of unsaved changes."""
    place.write("duel", DUEL)
    studio, pipeline = place.orchestrator.studio, place.orchestrator.pipeline
    content = (await place.orchestrator.prompts.get("duel", ADMIN)).content
    await studio.move_label("duel", "prod", 1, ADMIN)
    await studio.save("duel", {**content, "parameters": {"temperature": 0.5}}, ADMIN)
    for reference in ("duel@1", "duel@2", "duel@2"):
        outcome = await pipeline.run(Request(reference, model="good"), ADMIN)
        await place.orchestrator.feedback.rate(outcome.request_id, 4, ADMIN)
    await pipeline.run(Request("duel@1", model="good", template="prompt: edited {{text}}"), ADMIN)


async def test_a_role_limited_to_a_label_sees_nothing_of_other_versions(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "good"), echo("two", "bad")) as place:
        await versioned(place)
        insights = place.orchestrator.insights
        whole = await insights.get("duel", ADMIN)
        limited = await insights.get("duel", replace(USER, prompts=("duel@prod",)))
        newest = await insights.get("duel", replace(USER, prompts=("duel@newest",)))
    assert (whole.total, {cell.version for cell in whole.cells}) == (4, {1, 2})
    assert len(whole.shares) > 1
    assert (limited.version, limited.total) == (1, 1)
    assert {(cell.version, cell.edited) for cell in limited.cells} == {(1, False)}
    assert sum(bucket.requests for bucket in limited.buckets) == 1
    assert [(one.version, one.edited) for one in limited.recent] == [(1, False)]
    assert [(node.node, node.requests, node.rated) for node in limited.nodes] == [("one", 1, 1)]
    assert limited.shares == ()
    assert whole.models[0].why.startswith("4.0 stars from 3 ratings; no failures in 4 requests")
    assert limited.models[0].why.startswith("4.0 stars from 1 rating; no failures in 1 request; ")
    assert limited.models[0].why.endswith("(routing also learns from other versions)")
    assert [model.share for model in limited.models] == [model.share for model in whole.models]
    assert (newest.version, newest.total) == (2, 2)


async def test_a_version_for_other_roles_is_left_out(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "good")) as place:
        place.write("duel", dedent(DUEL) + "roles: [admin]\n")
        for _ in range(2):
            await place.orchestrator.pipeline.run(Request("duel", model="good"), ADMIN)
        place.write("duel", DUEL)
        await place.orchestrator.pipeline.run(Request("duel", model="good"), ADMIN)
        seen = await place.orchestrator.insights.get("duel", USER)
        whole = await place.orchestrator.insights.get("duel", ADMIN)
    assert (seen.total, [cell.version for cell in seen.cells if cell.requests]) == (1, [2])
    assert (whole.total, [cell.version for cell in whole.cells if cell.requests]) == (3, [2, 1])


async def test_nodes_are_told_apart_and_only_those_of_the_role(tmp_path: Path) -> None:
    failing = Scripted("three", [StatusError("It said 500.", status=500)], models=["bad"])
    async with herding(tmp_path, echo("one", "good"), failing) as place:
        place.write("duel", DUEL)
        await run(place, "good", 5, times=2)
        with pytest.raises(StatusError):
            await run(place, "bad")
        found = await place.orchestrator.insights.get("duel", USER)
        few = await place.orchestrator.insights.get("duel", replace(USER, nodes=("one",)))
    assert [(node.node, node.model, node.requests, node.errors, node.mean_stars) for node in found.nodes] == [
        ("one", "good", 2, 0, 5.0),
        ("three", "bad", 1, 1, None),
    ]
    assert [node.node for node in few.nodes] == ["one"]


async def test_the_course_of_the_shares_ends_at_those_of_now(tmp_path: Path) -> None:
    async with herding(tmp_path, echo("one", "good"), echo("two", "bad")) as place:
        place.write("duel", DUEL)
        await run(place, "good", 5, times=4)
        await run(place, "bad", 1, times=4)
        found = await place.orchestrator.insights.get("duel", USER)
    assert [step.responses for step in found.shares] == list(range(9))
    last = found.shares[-1].shares
    assert last == pytest.approx({model.model: model.share for model in found.models if model.against is None})
    assert [one.stars for one in found.recent] == [(5,)] * 4 + [(1,)] * 4


async def test_no_more_than_the_newest_are_read(place: Place) -> None:
    for _ in range(3):
        await place.orchestrator.pipeline.run(Request("say"), ADMIN)
    orchestrator = place.orchestrator
    parts = {"learning": orchestrator._learning, "fleet": orchestrator._fleet, "prompts": orchestrator.prompts}
    few = Insights(store=place.store, **parts, clock=orchestrator._clock, max_requests=2)
    found = await few.get("say", ADMIN)
    assert (found.total, found.read, found.cells[0].requests) == (3, 2, 2)


async def test_after_a_reset_all_models_are_equal_again_also_after_a_restart(tmp_path: Path) -> None:
    nodes = [echo("one", "good"), echo("two", "bad")]
    async with herding(tmp_path, *nodes) as place:
        place.write("duel", DUEL)
        await run(place, "good", 5, times=10)
        await run(place, "bad", 1, times=10)
        insights = place.orchestrator.insights
        before = await insights.get("duel", ADMIN)
        reset = await insights.reset("duel", ADMIN)
        found = await insights.get("duel", ADMIN)
        assert before.models[0].share > 0.8
        assert (reset.prompt, reset.by) == ("duel", "admin")
        assert found.reset == reset
        assert [model.share for model in found.models[:2]] == pytest.approx([0.5, 0.5], abs=0.001)
        assert found.models[0].why == "no data for this prompt yet"
        assert (found.cells[0].requests, found.cells[0].mean_stars) == (10, 5.0)
        old = (await place.rows())[0].request_id
        await place.orchestrator.feedback.rate(old, 5, ADMIN)
        again = await insights.get("duel", ADMIN)
        assert [model.share for model in again.models[:2]] == pytest.approx([0.5, 0.5], abs=0.001)
    async with herding(tmp_path, *nodes) as place:
        await place.orchestrator.load()
        await place.orchestrator.load()
        found = await place.orchestrator.insights.get("duel", ADMIN)
        assert [model.share for model in found.models[:2]] == pytest.approx([0.5, 0.5], abs=0.001)
        assert found.reset == reset
        await run(place, "good", 5, times=10)
        assert (await place.orchestrator.insights.get("duel", ADMIN)).models[0].share > 0.6


async def test_models_are_counted_over_a_day(tmp_path: Path) -> None:
    now = [10 * DAY_MS]
    async with herding(tmp_path, echo("one", "good"), echo("two", "bad"), clock=lambda: now[0]) as place:
        place.write("duel", DUEL)
        insights = place.orchestrator.insights
        assert await insights.models(GUEST) == {}
        await run(place, "good", times=3)
        await run(place, "bad")
        assert await insights.models(GUEST) == {
            "good": ModelStats(3, 0, 0.0, 1.0, 0.5),
            "bad": ModelStats(1, 0, 0.0, 1.0, 0.5),
        }
        now[0] += DAY_MS + 60_000
        assert await insights.models(GUEST) == {}


CASES: dict[str, tuple[str, Callable[[Insights, Principal], Any]]] = {
    "get": (INSIGHTS, lambda insights, who: insights.get("say", who)),
    "reset": (INSIGHTS, lambda insights, who: insights.reset("say", who)),
    "models": (MODELS, lambda insights, who: insights.models(who)),
}


def test_every_method_has_a_case() -> None:
    assert CASES.keys() == {name for name in dir(Insights) if not name.startswith("_")}


@pytest.mark.parametrize("name", sorted(CASES))
async def test_nobody_gets_in_without_the_right(place: Place, name: str) -> None:
    right, call = CASES[name]
    with pytest.raises(AccessError, match=f"'{right}'"):
        await call(place.orchestrator.insights, NOBODY)
    await call(place.orchestrator.insights, ADMIN)


async def test_guests_see_nothing_and_users_do_not_reset(place: Place) -> None:
    insights = place.orchestrator.insights
    for role in ("guest", "rater"):
        with pytest.raises(AccessError, match=f"'{INSIGHTS}'"):
            await insights.get("say", principal("x", role))
    await insights.get("say", USER)
    with pytest.raises(AccessError, match=f"'{PUBLISH}'"):
        await insights.reset("say", USER)
    assert await place.store.learning_resets() == {}


async def test_a_prompt_for_others_and_one_that_is_not_there_are_not_found(place: Place) -> None:
    place.write("secret", "name: S\nroles: [admin]\ntarget_models: [echo]\nprompt: hi\n")
    insights = place.orchestrator.insights
    for key in ("secret", "ghost"):
        with pytest.raises(NotFoundError, match="There is no prompt"):
            await insights.get(key, USER)
    with pytest.raises(NotFoundError, match="There is no prompt"):
        await insights.reset("ghost", ADMIN)
    with pytest.raises(UserError, match="7, 30, 90 days"):
        await insights.get("say", USER, days=8)
