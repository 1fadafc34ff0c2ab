"""The tab "Insights": figures, who answers next, and the reset; and why an answer came from its model."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from herding.access.operations import INSIGHTS, PROMPTS, PUBLISH
from herding.errors import AccessError, NotFoundError, UserError
from herding.evaluation.insights import PromptInsights, RequestBucket, RoutingPrediction
from herding.evaluation.version_matrix import VersionModelStats, build_matrix, count_by_node
from herding.routing.policies import BUILT_IN, RoutingSettings
from herding.routing.share_history import ShareStep
from herding.ui.insights import report
from herding.ui.insights.strips import latency_chart, rating_chart, scale_of
from herding.ui.insights.tab import report_view
from herding.ui.kit.charts.bars import percent_text
from herding.ui.kit.responses.response import candidate_list
from herding.ui.page import visible_tabs
from herding.values import AttemptStats, Considered, Outcome, Request, Reset
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


def part(html: str, name: str) -> str:
    """A section of the report by its id."""
    found = re.search(rf'<section [^>]*id="{name}".*?</section>', html, re.DOTALL)
    assert found, name
    return found[0]


async def run(desktop: Desktop, stars: int | None = None, key: str = "say") -> Outcome:
    """One request, and stars."""
    outcome = await desktop.place.orchestrator.pipeline.run(Request(key), ADMIN)
    if stars:
        await desktop.place.orchestrator.feedback.rate(outcome.request_id, stars, ADMIN)
    return outcome


async def test_it_opens_with_the_prompt_of_the_address_and_its_figures(desktop: Desktop) -> None:
    await run(desktop, 5)
    await run(desktop, 4)
    shown = await desktop.get("insights", prompt="say")
    assert '<option value="say" selected="">' in shown
    assert shown.told["address"] == {"prompt": "say", "days": ""}
    assert "2 requests in the last 30 days" in shown
    assert "4.5" in shown
    assert "3.5 to 5.0 · 2 ratings" in shown
    assert "100 %" in shown
    assert "4.5 stars from 2 ratings" in shown
    assert "Policy: <b>stars</b>" in shown
    assert "Pinned: <b>none</b>" in shown
    for link in ("engineer", "history", "compare", "versions"):
        assert f'href="?tab={link}&amp;prompt=say"' in shown


async def test_two_requests_are_plotted_one_by_one_and_called_few(desktop: Desktop) -> None:
    await run(desktop, 5)
    await run(desktop)
    shown = await desktop.get("insights/report", prompt="say", days="7")
    assert "Small sample: n=2" in shown
    assert "5.0 ★ · n=1" in shown
    assert "5 stars: 1. Mean 5.0 ★ · n=1." in shown
    latency = part(shown.html, "insights-latency")
    assert latency.count("<circle") == 2
    assert "per 5 minutes" in part(shown.html, "insights-requests")
    assert "last 7 days" in shown
    assert shown.told["address"] == {"prompt": "say", "days": "7"}


async def test_a_prompt_that_never_ran_says_so_and_still_tells_who_answers(desktop: Desktop) -> None:
    shown = await desktop.get("insights", prompt="varied")
    assert "No requests in this period" in shown
    assert "Run this prompt" in shown
    assert "<svg" not in shown
    assert "no node serves it now" in shown
    await run(desktop, key="varied")
    shown = await desktop.get("insights", prompt="varied")
    assert "1 request in the last 30 days" in shown
    assert "<svg" in shown


async def test_failures_are_seen_in_the_figures_and_the_plot(desktop: Desktop) -> None:
    for _ in range(2):
        with pytest.raises(Exception, match="Too slow"):
            await run(desktop, key="failing")
    shown = await desktop.get("insights/report", prompt="failing", days="7")
    assert "2 requests in the last 7 days" in shown
    assert "broken/model" in shown
    assert "fails 100 % of the time" in shown
    assert part(shown.html, "insights-latency").count('class="cross"') == 3  # and the one of the legend


async def test_a_prompt_that_is_not_there_is_named_and_another_one_shown(desktop: Desktop) -> None:
    shown = await desktop.get("insights", prompt="ghost")
    assert "Prompt &#x27;ghost&#x27; not found" in shown
    assert shown.told["address"]["prompt"] == "chat"
    with pytest.raises(NotFoundError, match="no prompt 'ghost'"):
        await desktop.get("insights/report", prompt="ghost")


@pytest.mark.parametrize("days", ["8", "x", HOSTILE_TEXT, "-7"])
async def test_a_period_that_is_none_is_refused(desktop: Desktop, days: str) -> None:
    with pytest.raises(UserError):
        await desktop.get("insights/report", prompt="say", days=days)


async def test_without_prompts_there_is_nothing_to_look_at(desktop: Desktop) -> None:
    nobody = replace(ADMIN, rights=frozenset({INSIGHTS, PUBLISH}))
    assert "No prompts yet" in await desktop.get("insights", who=nobody)
    with pytest.raises(UserError, match="Choose a prompt"):
        await desktop.post("insights/reset", who=nobody)


async def test_what_is_learned_is_reset_by_those_who_publish(desktop: Desktop) -> None:
    await run(desktop, 5)
    assert "insights-reset" in await desktop.get("insights", prompt="say")
    shown = await desktop.post("insights/reset", prompt="say", days="30")
    assert shown.told["notice"] == "Routing data reset."
    assert "no data for this prompt yet" in shown
    assert "reset by admin" in shown
    assert "1 rating" in shown
    assert set(await desktop.place.store.learning_resets()) == {"say"}


async def test_who_may_not_publish_sees_no_reset_and_cannot_do_it(desktop: Desktop) -> None:
    assert "insights-reset" not in await desktop.get("insights", prompt="say", who=USER)
    with pytest.raises(AccessError):
        await desktop.post("insights/reset", prompt="say", who=USER)
    assert await desktop.place.store.learning_resets() == {}


async def test_a_role_limited_to_a_label_sees_its_version_only(desktop: Desktop) -> None:
    studio, content = desktop.place.orchestrator.studio, await desktop.place.orchestrator.prompts.get("say", ADMIN)
    await studio.move_label("say", "prod", 1, ADMIN)
    await studio.save("say", {**content.content, "description": "Second"}, ADMIN)
    for reference in ("say@1", "say@2"):
        await run(desktop, 3, key=reference)
    assert "<b>v2</b>" in await desktop.get("insights", prompt="say", who=USER)
    limited = await desktop.get("insights", prompt="say", who=replace(USER, prompts=("say@prod",)))
    assert "1 request in the last 30 days" in limited
    assert "v2" not in limited


async def test_the_course_of_the_shares_is_drawn_with_its_table(desktop: Desktop) -> None:
    desktop.place.write("duel", "name: Duel\ntarget_models: [echo, slow/model]\nprompt: hi\n")
    for stars in (5, 5, 4):
        await run(desktop, stars, key="duel")
    shown = part((await desktop.get("insights", prompt="duel")).html, "insights-shares")
    assert "last 3 responses" in shown
    assert shown.count('class="dot-mark series-') == 8
    assert "50 %" in shown
    assert shown.count("<tr>") == 5


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
    for name in BUILT_IN:
        assert f"<b>{name}</b>" in report.policy(RoutingSettings(policy=name))
    assert "not exploring" in report.policy(RoutingSettings(explore=False))
    assert "exploring" not in report.policy(RoutingSettings(policy="random"))
    assert "Pinned: <b>m</b>" in report.policy(RoutingSettings(pinned="m"))
    busy = insights(models=(RoutingPrediction("m", None, 0.5, "no stars yet"),), reset=Reset("say", 5, "ada"))
    shown = report.routing(busy)
    assert "decided per request" in shown
    assert "reset by ada" in shown


def tried(number: int = 0, **facts: Any) -> AttemptStats:
    """An attempt that succeeded, unless `facts` say otherwise."""
    given: dict[str, Any] = {"version": 2, "edited": False, "model": "m", "at": number * DAY, "ok": True}
    given |= {"checks_passed": None, "total_ms": 100.0, "input_tokens": 1, "output_tokens": 1}
    return AttemptStats(**given | facts)


def rated(*tries: AttemptStats) -> PromptInsights:
    """The report on some attempts."""
    return insights(cells=build_matrix(tries, 2, {"m": 1.0}), recent=tries, total=len(tries), read=len(tries))


def test_each_rating_is_a_dot_until_they_are_too_many() -> None:
    few = rating_chart(rated(*(tried(stars=(5,)) for _ in range(7)), tried(stars=(2, 3))))
    assert few.count("<circle") == 9
    assert "9 ratings; line: mean and 95 % interval" in few
    assert "2 stars: 1, 3 stars: 1, 5 stars: 7" in few
    many = rating_chart(rated(*(tried(stars=(5,)) for _ in range(30)), tried(stars=(1,))))
    assert "<circle" not in many
    assert many.count("<rect") == 2
    assert "5 stars: 30" in many
    assert "No ratings yet" in rating_chart(rated(tried()))


def test_latencies_far_apart_stand_on_a_logarithmic_axis() -> None:
    near = scale_of([100.0, 900.0])
    assert (near.logarithmic, near.high, near.ticks()) == (False, 1000.0, [0, 250, 500, 750, 1000])
    far = scale_of([0.0, 40.0, 9_000.0])
    assert (far.logarithmic, far.ticks()) == (True, [1, 10, 100, 1_000, 10_000])
    assert far.at(0.5) == far.at(1) < far.at(40) < far.at(10_000) <= 1
    slow = latency_chart(rated(tried(total_ms=20), tried(total_ms=300_000)))
    assert slow is not None
    assert [text for text in ("10 ms", "1 s", "100 s", "1,000 s") if f">{text}<" not in slow] == []
    assert latency_chart(rated()) is None
    drawn = latency_chart(rated(tried(total_ms=5), tried(total_ms=3_000, ok=False), tried(checks_passed=False)))
    assert drawn is not None
    assert "logarithmic" in drawn
    assert "1 failed." in drawn
    assert [word for word in ("succeeded", "failed a check") if f"<span>{word}</span>" in drawn] == [
        "succeeded",
        "failed a check",
    ]


def test_more_rows_than_fit_are_counted() -> None:
    drawn = rating_chart(rated(*(tried(version=number, stars=(4,)) for number in range(1, 12))))
    assert drawn.count('class="strip"') == 8
    assert "3 more rows in the table below" in drawn


def test_charts_tell_their_data_without_the_drawing() -> None:
    drawn = latency_chart(rated(tried(total_ms=250, stars=(4,))))
    assert drawn is not None
    assert '<title id="' in drawn
    assert '<desc id="' in drawn
    assert re.search(r'role="img" aria-labelledby="chart-\w+-title chart-\w+-desc"', drawn)
    assert "Show as table" in drawn
    assert "<td>250 ms</td>" in drawn


def test_hostile_names_are_characters() -> None:
    hostile = RoutingPrediction(HOSTILE_TEXT, 0.5, 0.5, HOSTILE_TEXT, HOSTILE_TEXT)
    tries = (tried(model=HOSTILE_TEXT, stars=(5,), node=HOSTILE_TEXT), tried(model="m", node="n"))
    steps = tuple(ShareStep(number, 0, {HOSTILE_TEXT: 0.5, "m": 0.5}) for number in range(3))
    found = insights(
        cells=build_matrix(tries, 2, {HOSTILE_TEXT: 0.5}),
        models=(hostile, RoutingPrediction("m", 0.5, 0.5, "")),
        reset=Reset("say", 5, HOSTILE_TEXT),
        recent=tries,
        total=2,
        shares=steps,
        nodes=count_by_node(tries),
        timeline=(RequestBucket(DAY, HOSTILE_TEXT, 2),),
        prompt=HOSTILE_TEXT,
    )
    considered = (Considered(HOSTILE_TEXT, HOSTILE_TEXT, 0.5, HOSTILE_TEXT), Considered("m", None, None, "no"))
    outcome = Outcome("1", "ada", "say", 5, candidates=considered)
    tags = Tags()
    for shown in (report_view(found, ADMIN), candidate_list(outcome)):
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
    shown = await desktop.get(f"history/entries/{outcome.request_id}")
    assert "Routed to" in shown
    assert "share-bar" not in shown
