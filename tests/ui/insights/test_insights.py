"""The tab "Insights": figures, who answers next, and the reset; and why an answer came from its model."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from herding.access.operations import INSIGHTS, PROMPTS, PUBLISH
from herding.errors import AccessError, NotFoundError, UserError
from herding.evaluation.insights import PromptInsights, RequestBucket, RoutingPrediction
from herding.evaluation.version_matrix import VersionModelStats
from herding.routing.policies import RoutingSettings
from herding.ui.insights import plot, report
from herding.ui.insights.tab import InsightsTab
from herding.ui.kit.bars import percent_text
from herding.ui.kit.day_plot import OTHERS
from herding.ui.kit.response import candidate_list
from herding.ui.page import visible_tabs
from herding.values import Considered, Outcome, Principal, Request, Reset
from tests.support.herding import ADMIN
from tests.support.people import principal
from tests.ui.conftest import HOSTILE_TEXT, Desktop
from tests.ui.kit.test_escaping import Tags

USER = principal("ada", "user")
DAY = 86_400_000


def cell(version: int = 1, model: str = "m", **facts: Any) -> VersionModelStats:
    """A cell with nothing behind it, but for `facts`."""
    names = ("error_rate", "check_failure_rate", "mean_stars", "low", "high", "p50_ms", "p95_ms")
    nothing = dict.fromkeys((*names, "input_tokens", "output_tokens"))
    return VersionModelStats(
        version=version, model=model, **{"edited": False, "requests": 0, "errors": 0, "rated": 0} | nothing | facts
    )


def insights(**facts: Any) -> PromptInsights:
    """What is known of a prompt with one model."""
    given: dict[str, Any] = {
        "prompt": "say",
        "version": 2,
        "days": 30,
        "since": 0,
        "until": 30 * DAY,
        "routing": RoutingSettings(),
        "cells": (cell(2),),
        "models": (RoutingPrediction("m", 1.0, 0.75, "no stars yet"),),
        "buckets": (),
        "bucket_ms": DAY,
        "total": 0,
        "read": 0,
        "reset": None,
    }
    return PromptInsights(**given | facts)


async def look(desktop: Desktop, key: str = "say", who: Principal | None = None) -> InsightsTab:
    """The tab is opened with a prompt."""
    await desktop.fire("insights", prompt=key, who=who)
    return desktop.page.insights


async def run(desktop: Desktop, stars: int | None = None, key: str = "say") -> Outcome:
    """One request, and stars."""
    outcome = await desktop.place.orchestrator.pipeline.run(Request(key), ADMIN)
    if stars:
        await desktop.place.orchestrator.feedback.rate(outcome.request_id, stars, ADMIN)
    return outcome


async def test_it_opens_with_the_prompt_of_the_address_and_its_figures(desktop: Desktop) -> None:
    await run(desktop, 5)
    await run(desktop, 4)
    tab = await look(desktop)
    assert desktop.value(tab.picker) == "say"
    shown = desktop.value(tab.matrix)
    assert "2 requests in the last 30 days" in shown
    assert "4.5" in shown
    assert "3.5 to 5.0 · 2 ratings" in shown
    assert "100 %" in shown
    outlook = desktop.value(tab.routing)
    assert "4.5 stars from 2 ratings" in outlook
    assert "Policy: <b>stars</b>" in outlook
    assert "Pinned: <b>none</b>" in outlook
    data = desktop.value(tab.plot)["data"]
    assert [requests for _, requests, _ in data] == [*[0] * 30, 2]
    assert {(at % DAY, model) for at, _, model in data} == {(DAY // 2, "echo")}
    assert desktop.prop(tab.plot, "visible") is True


async def test_a_prompt_that_never_ran_says_so_and_still_tells_who_answers(desktop: Desktop) -> None:
    tab = await look(desktop, "varied")
    assert "No requests in this period" in desktop.value(tab.matrix)
    assert desktop.prop(tab.plot, "visible") is False
    assert desktop.value(tab.when) == ""
    assert "no node serves it now" in desktop.value(tab.routing)
    await run(desktop, key="varied")
    await desktop.fire("insights_open")
    assert "1 request in the last 30 days" in desktop.value(tab.matrix)
    assert desktop.prop(tab.plot, "visible") is True


async def test_another_prompt_and_another_time_are_looked_at(desktop: Desktop) -> None:
    tab = await look(desktop)
    desktop.set(tab.picker, "failing")
    desktop.set(tab.days, 7)
    for _ in range(2):
        with pytest.raises(Exception, match="Too slow"):
            await run(desktop, key="failing")
    await desktop.fire("insights_open")
    shown = desktop.value(tab.matrix)
    assert "2 requests in the last 7 days" in shown
    assert "broken/model" in shown
    assert "fails 100 % of the time" in desktop.value(tab.routing)


async def test_a_prompt_that_is_not_there_is_named_and_another_one_shown(desktop: Desktop) -> None:
    tab = await look(desktop, "ghost")
    assert "Prompt &#x27;ghost&#x27; not found" in desktop.value(tab.note)
    assert desktop.value(tab.picker) == "chat"
    desktop.set(tab.picker, "ghost")
    with pytest.raises(NotFoundError, match="no prompt 'ghost'"):
        await desktop.fire("insights_open")


@pytest.mark.parametrize("days", [8, None, "30", HOSTILE_TEXT, [7]])
async def test_a_time_that_is_none_is_refused(desktop: Desktop, days: Any) -> None:
    tab = await look(desktop)
    desktop.set(tab.days, days)
    with pytest.raises(UserError, match="7, 30, 90 days"):
        await desktop.fire("insights_open")


async def test_without_prompts_there_is_nothing_to_look_at(desktop: Desktop) -> None:
    nobody = replace(ADMIN, rights=frozenset({INSIGHTS}))
    tab = await look(desktop, who=nobody)
    assert "No prompts yet" in desktop.value(tab.note)
    assert desktop.prop(tab.body, "visible") is False
    desktop.set(tab.picker, None)
    with pytest.raises(UserError, match="Choose a prompt"):
        await desktop.fire("insights_reset")


async def test_what_is_learned_is_reset_by_those_who_publish(desktop: Desktop) -> None:
    await run(desktop, 5)
    tab = await look(desktop)
    assert desktop.prop(tab.reset.box, "visible") is True
    assert desktop.prop(tab.reset.row, "visible") is False
    await desktop.fire("insights_reset_ask")
    assert desktop.prop(tab.reset.row, "visible") is True
    await desktop.fire("insights_reset")
    assert "Routing data reset" in desktop.value(tab.note)
    assert desktop.prop(tab.reset.row, "visible") is False
    outlook = desktop.value(tab.routing)
    assert "no data for this prompt yet" in outlook
    assert "reset by admin" in outlook
    assert "1 rating" in desktop.value(tab.matrix)
    assert set(await desktop.place.store.learning_resets()) == {"say"}


async def test_who_may_not_publish_sees_no_reset_and_cannot_do_it(desktop: Desktop) -> None:
    tab = await look(desktop, who=USER)
    assert desktop.prop(tab.reset.box, "visible") is False
    with pytest.raises(AccessError, match=f"'{PUBLISH}'"):
        await desktop.fire("insights_reset", who=USER)
    assert await desktop.place.store.learning_resets() == {}


def test_users_and_admins_see_the_tab() -> None:
    shown = {role: "insights" in visible_tabs(principal("x", role)) for role in ("guest", "rater", "user", "admin")}
    assert shown == {"guest": False, "rater": False, "user": True, "admin": True}
    assert PROMPTS in USER.rights


@pytest.mark.parametrize(
    ("part", "told"),
    [
        (None, "–"),
        (0.0, "0 %"),
        (0.0004, "below 0.1 %"),
        (0.001, "0.1 %"),
        (0.025, "2.5 %"),
        (0.03, "3 %"),
        (0.0999, "10 %"),
        (0.834, "83 %"),
        (0.996, "over 99 %"),
        (1.0, "100 %"),
    ],
)
def test_a_rate_is_told_as_exactly_as_it_matters(part: float | None, told: str) -> None:
    assert percent_text(part) == told


def test_a_row_has_every_figure_in_its_column() -> None:
    whole = cell(
        2,
        "m",
        requests=1234,
        errors=31,
        error_rate=0.025,
        check_failure_rate=0.1,
        rated=1,
        mean_stars=4.0,
        low=3.02,
        high=4.98,
        p50_ms=240.0,
        p95_ms=2500.0,
        input_tokens=1042.4,
        output_tokens=7.25,
        share=0.9,
        cost=0.0123,
    )
    shown = report.version_table(insights(cells=(whole, cell(1, edited=True), cell(0)), total=1300, read=1300))
    assert "1,300 requests in the last 30 days" in shown
    rows = [re.findall(r"<td.*?</td>", row) for row in re.findall(r"<tr.*?</tr>", shown)[1:]]
    read = [[re.sub(r"<[^>]+>", " ", data).split() for data in row] for row in rows]
    told = [" ".join(words) for words in read[0]]
    assert told == [
        "v2 live",
        "m",
        "1,234",
        "4.0 ★ 3.0 to 5.0 · 1 rating",
        "2.5 %",
        "10 %",
        "240 ms",
        "2.5 s",
        "1,042",
        "7.2",
        "&#36;0.012",
        "90 %",
    ]
    assert [" ".join(row[0]) for row in read[1:]] == ["v1 edited", "unsaved"]
    assert [" ".join(words) for words in read[1][2:]] == ["0", *"–" * 9]


def test_a_bound_that_bites_is_named() -> None:
    assert "30,000 requests in the last 30 days; metrics cover the latest 20,000" in report.version_table(
        insights(total=30_000, read=20_000)
    )


def test_every_policy_is_told_with_what_it_goes_by() -> None:
    for name in report.POLICIES:
        assert f"<b>{name}</b>" in report.policy(RoutingSettings(policy=name))
    assert "not exploring" in report.policy(RoutingSettings(explore=False))
    assert "exploring" not in report.policy(RoutingSettings(policy="random"))
    assert "Pinned: <b>m</b>" in report.policy(RoutingSettings(pinned="m"))
    busy = insights(models=(RoutingPrediction("m", None, 0.5, "no stars yet"),), reset=Reset("say", 5, "ada"))
    shown = report.routing(busy)
    assert "when least busy" in shown
    assert "reset by ada" in shown


def test_the_plot_has_colours_for_the_models_that_were_tried_most_and_one_for_the_rest() -> None:
    buckets = tuple(RequestBucket(day * DAY, f"m{number}", 20 - number) for day in (1, 2) for number in range(10))
    found = insights(buckets=buckets)
    update = plot.update(found)
    assert list(update["color_map"]) == [f"m{number}" for number in range(7)] + [OTHERS]
    assert len(set(update["color_map"].values())) == 8
    drawn = gr.BarPlot(x="time", y="value", color="name").postprocess(update["value"])
    assert drawn["columns"] == list(drawn["datatypes"]) == ["time", "value", "name"]
    assert sum(row[1] for row in drawn["data"]) == sum(bucket.requests for bucket in buckets)
    assert {row[2] for row in drawn["data"]} == set(update["color_map"])
    assert drawn["data"][:3] == [[DAY // 2, 0, "m0"], [DAY * 3 // 2, 20, "m0"], [DAY * 5 // 2, 20, "m0"]]
    assert len(drawn["data"]) == 31 * 8
    assert (update["x_bin"], update["x_lim"]) == ("24h", [0, 31 * DAY / 1000])


def test_the_bar_of_a_day_that_has_just_begun_is_as_wide_as_the_others() -> None:
    until = 31 * DAY + 5_000
    found = insights(since=until - 30 * DAY, until=until, buckets=(RequestBucket(31 * DAY, "m", 3),))
    update = plot.update(found)
    assert update["x_lim"] == [DAY / 1000, 32 * DAY / 1000]
    assert update["value"]["data"][-1] == [31 * DAY + DAY // 2, 3, "m"]
    assert update["visible"] is True


async def test_the_last_choice_is_shown_also_if_its_response_came_first(desktop: Desktop) -> None:
    await run(desktop)
    tab = await look(desktop)
    late = {component._id: dict(desktop.shown[component._id]) for component in tab.content}
    desktop.set(tab.picker, "varied")
    await desktop.fire("insights_open")
    assert "No requests in this period" in desktop.value(tab.matrix)
    desktop.shown.update(late)
    assert "1 request in the last 30 days" in desktop.value(tab.matrix)
    await desktop.fire("insights_check")
    assert "No requests in this period" in desktop.value(tab.matrix)
    desktop.set(tab.matrix, "unchanged")
    await desktop.fire("insights_check")
    assert desktop.value(tab.matrix) == "unchanged"


def test_hostile_names_are_characters() -> None:
    hostile = RoutingPrediction(HOSTILE_TEXT, 0.5, 0.5, HOSTILE_TEXT, HOSTILE_TEXT)
    found = insights(cells=(cell(model=HOSTILE_TEXT),), models=(hostile,), reset=Reset("say", 5, HOSTILE_TEXT))
    considered = (Considered(HOSTILE_TEXT, HOSTILE_TEXT, 0.5, HOSTILE_TEXT), Considered("m", None, None, "no"))
    outcome = Outcome("1", "ada", "say", 5, candidates=considered)
    tags = Tags()
    for shown in (report.version_table(found), report.routing(found), candidate_list(outcome)):
        assert shown
        assert "${" not in shown
        tags.feed(shown)
    assert not {"img", "script"} & tags.tags
    assert not [name for name in tags.attributes if name.startswith("on")]


def test_an_answer_tells_who_else_could_have_given_it() -> None:
    considered = (
        Considered("m1", "a", 0.75),
        Considered("m1", "b", 0.75, "all its 2 places are taken"),
        Considered("m2", "c", 0.25),
        Considered("m3", None, None, "no node serves it"),
    )
    outcome = Outcome("1", "ada", "say", 5, model="m2", candidates=considered)
    shown = candidate_list(outcome)
    assert shown is not None
    told = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<li>.*?</li>", shown)]
    assert told == [
        "m1 75 % on a; on b: all its 2 places are taken",
        "m2 25 % selected on c",
        "m3 not eligible no node serves it",
    ]
    for few in ((), considered[:1]):
        assert candidate_list(replace(outcome, candidates=few)) is None


async def test_a_fresh_answer_shows_it_and_an_old_one_does_not_know_it_any_more(desktop: Desktop) -> None:
    desktop.place.write("duel", "name: Duel\ntarget_models: [echo, slow/model]\nprompt: hi\n")
    outcome = await desktop.run("duel")
    assert "share-bar" in str(candidate_list(outcome))
    await desktop.fire("history")
    row = (await desktop.place.rows())[0].request_id
    await desktop.fire("history_pick", row)
    shown = desktop.value(desktop.page.history.page)
    assert "Routed to" in shown
    assert "share-bar" not in shown
