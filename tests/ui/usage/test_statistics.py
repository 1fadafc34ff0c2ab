"""Statistics of requests in the Usage tab."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from sqlalchemy import create_engine, update

from herding.errors import AccessError, UserError
from herding.evaluation.usage import UsageReport
from herding.nodes.prices import ConfiguredPrice
from herding.store.tables import request
from herding.ui.kit.charts.time_sums import OTHERS, Bar, bucket_width, fill
from herding.ui.usage.statistics import METRICS, _bars
from herding.values import HistoryFilter, Principal, Request, UsageGroup, UsageSum
from tests.support.herding import GUEST, OTHER
from tests.ui.conftest import Desktop, Piece

HOUR, DAY = 3_600_000, 86_400_000


async def ask(desktop: Desktop, who: Principal, text: str = "one two") -> None:
    await desktop.place.orchestrator.pipeline.run(Request("say", {"text": text}), who)


def texts(piece: Piece) -> list[str]:
    """The words of each row of the table."""
    table = piece.html.split('class="matrix"')[1]
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr.*?</tr>", table)[1:]]


def bars(piece: Piece) -> list[str]:
    """What each bar of the chart says."""
    return re.findall(r"<rect.*?<title>(.*?)</title>", piece.html)


async def asked(desktop: Desktop) -> Desktop:
    desktop.place.herd["echo"].prices = {"*": ConfiguredPrice(input=100, output=500)}
    for asker in (GUEST, GUEST, OTHER):
        await ask(desktop, asker)
    return desktop


async def test_an_admin_sees_the_requests_and_the_money_of_each_user(desktop: Desktop) -> None:
    shown = await (await asked(desktop)).get("usage")
    assert "echo 3 100 % 3 0 6 6 &#36;0.0036" in texts(shown)[0]
    totals = shown.html.split('class="totals"')[1].split("</dl>")[0]
    words = " ".join(re.sub(r"<[^>]+>", " ", totals.split(">", 1)[1]).split())
    assert words.startswith("Requests 3 100 % succeeded Input tokens 6 Output tokens 6 Cost &#36;0.0036 Mean latency")
    by_user = await desktop.get("usage/statistics", group="user")
    assert by_user.told["address"]["group"] == "user"
    rows = texts(by_user)
    assert rows[0].startswith(f"{GUEST.id} 2 67 % 2 0 4 4 &#36;0.0024")
    assert rows[1].startswith(f"{OTHER.id} 1 33 % 1 0 2 2 &#36;0.0012")
    one = await desktop.get("usage/statistics", group="user", user=OTHER.id)
    assert len(texts(one)) == 1
    assert "api/v1/usage.csv?group_by=user&amp;user=guest%3A2&amp;from=" in one


async def test_a_guest_sees_only_their_own(desktop: Desktop) -> None:
    shown = await (await asked(desktop)).get("usage", who=GUEST)
    assert texts(shown)[0].startswith("echo 2 100 % 2 0")
    assert 'id="usage-user"' not in shown
    assert 'value="user"' not in shown
    with pytest.raises(AccessError, match="only your own requests"):
        await desktop.get("usage/statistics", who=GUEST, user=OTHER.id)


@pytest.mark.parametrize("group", ["user", "token", "prompt", "kind", "model", "node", "status", "day"])
@pytest.mark.parametrize("metric", ["requests", "tokens", "cost", "latency"])
async def test_every_group_and_every_plot(desktop: Desktop, group: str, metric: str) -> None:
    shown = await (await asked(desktop)).get("usage/statistics", group=group, metric=metric)
    assert len(bars(shown)) == (2 if group == "user" and metric != "latency" else 1)
    assert "per 5 minutes" in shown  # the first requests were made just now
    assert len(texts(shown)) == (30 if group == "day" else 2 if group == "user" else 1)


@pytest.mark.parametrize(("age", "step"), [(5 * HOUR, "per hour"), (10 * DAY, "per day")])
async def test_the_steps_of_the_chart_grow_with_the_time(desktop: Desktop, age: int, step: str) -> None:
    await asked(desktop)
    age_by(desktop, age)
    shown = await desktop.get("usage/statistics", period="89")
    assert step in shown
    assert len(bars(shown)) == 2
    assert ("No requests in this period" in await desktop.get("usage/statistics", period="6", user=OTHER.id)) == (
        step == "per day"
    )


def age_by(desktop: Desktop, age: int) -> None:
    """Make the only request of a user older."""
    engine = create_engine(desktop.place.settings.database_url)
    with engine.begin() as connection:
        older = request.c.created_at - age
        connection.execute(update(request).where(request.c.principal == OTHER.id).values(created_at=older))
    engine.dispose()


async def test_means_of_one_bar_are_weighted() -> None:
    sums = UsageSum(requests=3, succeeded=3, mean_ms=100.0), UsageSum(requests=1, succeeded=1, mean_ms=500.0)
    groups = tuple(UsageGroup((at,), one) for at, one in zip((0, 60_000), sums, strict=True))
    report = UsageReport(("minute",), HistoryFilter(), UsageSum(), groups)
    found = list(_bars(report, METRICS["latency"], 300_000, lambda _: "all"))
    assert sum(bar.value for bar in found) == 200


async def test_an_empty_period_says_so(desktop: Desktop) -> None:
    fields = {"period": "custom", "from": "", "to": "2020-01-01"}
    shown = await (await asked(desktop)).get("usage/statistics", **fields)
    assert "No requests in this period" in shown
    assert "<svg" not in shown
    assert shown.told["address"]["to"] == "2020-01-01"


async def test_a_day_that_is_none_is_named(desktop: Desktop) -> None:
    wrong = {"period": "custom", "from": "2026-13-01"}
    with pytest.raises(UserError, match='Fix "From"'):
        await desktop.get("usage/statistics", **wrong)
    assert "Fix &quot;From&quot;" in await desktop.get("usage", **wrong)


async def test_the_address_names_the_choices(desktop: Desktop) -> None:
    shown = await (await asked(desktop)).get("usage", group="node", metric="tokens", period="6", user=OTHER.id)
    chosen = re.findall(r'<option value="([^"]*)" selected', shown.html)
    assert chosen == ["6", "node", "tokens", OTHER.id]
    assert "By node" in shown


async def test_an_unknown_price_is_named(desktop: Desktop) -> None:
    await asked(desktop)
    desktop.place.herd["echo"].prices = {}
    desktop.place.herd["echo"].known_price = lambda model: None  # type: ignore[method-assign]
    await ask(desktop, replace(GUEST, id="guest:3"))
    shown = await desktop.get("usage/statistics", group="user")
    assert any(row.startswith("guest:3 1 25 % 1 0 2 2 unknown") for row in texts(shown))
    assert "of 3 requests" in shown


def test_each_period_has_a_place_and_the_small_names_are_summed_up() -> None:
    bars = [Bar(DAY + 5, f"n{number}", 20 - number) for number in range(9)]
    table = fill(bars, since=0, until=3 * DAY, width_ms=DAY)
    assert list(dict.fromkeys(table["name"])) == [*(f"n{number}" for number in range(7)), OTHERS]
    assert table.loc[table["name"] == OTHERS, "value"].tolist() == [0, 25, 0, 0]
    assert len(table) == 4 * 8


def test_long_periods_have_wide_bars() -> None:
    assert [bucket_width(0, days * DAY) // DAY for days in (0, 1, 30, 100, 101, 365)] == [1, 1, 1, 1, 2, 4]
