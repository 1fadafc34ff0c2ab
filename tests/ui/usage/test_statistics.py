"""Statistics of requests in the Usage tab."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from herding.errors import AccessError
from herding.nodes.prices import ConfiguredPrice
from herding.ui.kit.day_plot import OTHERS, Bar, bucket_width, fill, update_plot
from herding.values import Principal, Request
from tests.support.herding import GUEST, OTHER
from tests.ui.conftest import Desktop

DAY = 86_400_000


async def ask(desktop: Desktop, who: Principal, text: str = "one two") -> None:
    await desktop.place.orchestrator.pipeline.run(Request("say", {"text": text}), who)


def texts(html: Any) -> list[str]:
    """The words of each row of a table."""
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in re.findall(r"<tr.*?</tr>", str(html))[1:]]


async def opened(desktop: Desktop, who: Principal | None = None) -> Any:
    desktop.place.herd["echo"].prices = {"*": ConfiguredPrice(input=100, output=500)}
    for asker in (GUEST, GUEST, OTHER):
        await ask(desktop, asker)
    await desktop.fire("usage", who=who)
    return desktop.page.usage.statistics


async def test_an_admin_sees_the_requests_and_the_money_of_each_user(desktop: Desktop) -> None:
    pane = await opened(desktop)
    assert "echo 3 3 0 6 6 &#36;0.0036" in texts(desktop.value(pane.table))[0]
    totals = " ".join(re.sub(r"<[^>]+>", " ", str(desktop.value(pane.totals))).split())
    assert totals.startswith("Requests 3 100 % succeeded Input tokens 6 Output tokens 6 Cost &#36;0.0036 Mean latency")
    desktop.set(pane.group, "user")
    await desktop.fire("usage_statistics")
    rows = texts(desktop.value(pane.table))
    assert rows[0].startswith(f"{GUEST.id} 2 2 0 4 4 &#36;0.0024")
    assert rows[1].startswith(f"{OTHER.id} 1 1 0 2 2 &#36;0.0012")
    desktop.set(pane.user, OTHER.id)
    await desktop.fire("usage_statistics")
    assert len(texts(desktop.value(pane.table))) == 1
    assert "api/v1/usage.csv?group_by=user&amp;user=guest%3A2&amp;from=" in desktop.value(pane.table)


async def test_a_guest_sees_only_their_own(desktop: Desktop) -> None:
    pane = await opened(desktop, GUEST)
    assert texts(desktop.value(pane.table))[0].startswith("echo 2 2 0")
    assert desktop.prop(pane.user, "visible") is False
    assert "user" not in dict(map(reversed, desktop.prop(pane.group, "choices")))
    desktop.set(pane.user, OTHER.id)
    with pytest.raises(AccessError, match="only your own requests"):
        await desktop.fire("usage_statistics", who=GUEST)


@pytest.mark.parametrize("group", ["user", "token", "prompt", "kind", "model", "node", "status", "day"])
@pytest.mark.parametrize("metric", ["requests", "tokens", "cost", "latency"])
async def test_every_group_and_every_plot(desktop: Desktop, group: str, metric: str) -> None:
    pane = await opened(desktop)
    desktop.set(pane.group, group)
    desktop.set(pane.metric, metric)
    await desktop.fire("usage_statistics")
    data = desktop.value(pane.plot)["data"]
    assert len({at for at, _, _ in data}) == 30
    assert all(at % DAY == DAY // 2 for at, _, _ in data)
    assert sum(value for _, value, _ in data) > 0
    rows = texts(desktop.value(pane.table))
    assert len(rows) == (30 if group == "day" else 2 if group == "user" else 1)


async def test_an_empty_period_says_so(desktop: Desktop) -> None:
    pane = await opened(desktop)
    desktop.set(pane.period.preset, "custom")
    desktop.set(pane.period.end, "2020-01-01")
    await desktop.fire("usage_statistics")
    assert "No requests in this period" in desktop.value(pane.totals)
    assert desktop.prop(pane.plot, "visible") is False
    assert desktop.value(pane.table) == ""


async def test_an_unknown_price_is_named(desktop: Desktop) -> None:
    pane = await opened(desktop)
    desktop.place.herd["echo"].prices = {}
    desktop.place.herd["echo"].known_price = lambda model: None  # type: ignore[method-assign]
    await ask(desktop, replace(GUEST, id="guest:3"))
    desktop.set(pane.group, "user")
    await desktop.fire("usage_statistics")
    rows = texts(desktop.value(pane.table))
    assert any(row.startswith("guest:3 1 1 0 2 2 unknown") for row in rows)
    assert "of 3 requests" in desktop.value(pane.totals)


async def test_the_last_choice_is_shown_also_if_its_response_came_first(desktop: Desktop) -> None:
    pane = await opened(desktop)
    late = {component._id: dict(desktop.shown[component._id]) for component in pane.content}
    desktop.set(pane.group, "user")
    await desktop.fire("usage_statistics")
    desktop.shown.update(late)
    assert "By model" in desktop.value(pane.table)
    await desktop.fire("usage_check")
    assert "By user" in desktop.value(pane.table)


def test_each_period_has_a_place_and_the_small_names_are_summed_up() -> None:
    bars = [Bar(DAY + 5, f"n{number}", 20 - number) for number in range(9)]
    table = fill(bars, since=0, until=3 * DAY, width_ms=DAY)
    assert list(dict.fromkeys(table["name"])) == [*(f"n{number}" for number in range(7)), OTHERS]
    assert table.loc[table["name"] == OTHERS, "value"].tolist() == [0, 25, 0, 0]
    assert len(table) == 4 * 8


@pytest.mark.parametrize("bars", [[], [Bar(0, "a", 0)]])
def test_nothing_is_plotted_of_nothing(bars: list[Bar]) -> None:
    assert update_plot(bars, since=0, until=DAY, width_ms=DAY)["visible"] is False


def test_long_periods_have_wide_bars() -> None:
    assert [bucket_width(0, days * DAY) // DAY for days in (0, 1, 30, 100, 101, 365)] == [1, 1, 1, 1, 2, 4]
