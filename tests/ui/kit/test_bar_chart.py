"""Sums over time as stacked bars."""

from __future__ import annotations

import re

import pytest

from herding.ui.kit.charts.bar_chart import bar_chart, period_name
from herding.ui.kit.charts.chart import SERIES, nice_maximum
from herding.ui.kit.charts.time_sums import OTHERS, Bar
from herding.values.durations import DAY_MS, HOUR_MS, MINUTE_MS

CHART = {"title": "Requests", "value": "Requests", "since": 0, "until": 3 * DAY_MS, "width_ms": DAY_MS}


def test_each_period_has_a_place_and_each_name_a_colour() -> None:
    drawn = bar_chart([Bar(0, "a", 2), Bar(5, "b", 2), Bar(2 * DAY_MS, "a", 3)], **CHART)
    assert drawn is not None
    bars = re.findall(r'<rect class="(series-\d)" x="([\d.]+)%" width="[\d.]+%" y="[\d.]+" height="([\d.]+)"', drawn)
    assert [(x, height, tone) for tone, x, height in bars] == [
        ("3.00", "48.00", "series-0"),
        ("3.00", "48.00", "series-1"),
        ("53.00", "72.00", "series-0"),
    ]
    assert "Highest: 4, 1 Jan 1970, 00:00:00 UTC." in drawn
    assert drawn.count("<tr>") == 3  # the head, and periods with requests
    assert "per day" in drawn


def test_colours_follow_the_other_charts_of_the_page() -> None:
    drawn = bar_chart([Bar(0, "a", 2), Bar(0, "b", 1)], **CHART, tones={"b": 0, "a": 4})
    assert drawn is not None
    assert re.findall(r'class="swatch series-(\d)"', drawn) == ["4", "0"]
    many = bar_chart([Bar(0, f"m{number}", 20 - number) for number in range(10)], **CHART)
    assert many is not None
    assert f'series-{SERIES}" aria-hidden="true"></span><span title="{OTHERS}">' in many


def test_nothing_but_zero_is_no_chart() -> None:
    assert bar_chart([], **CHART) is None
    assert bar_chart([Bar(0, "a", 0)], **CHART) is None


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.3, 0.5), (1, 1), (1.5, 2), (2.3, 2.5), (3, 5), (7, 10), (10, 10), (99, 100)]
)
def test_an_axis_ends_at_a_round_number(value: float, top: float) -> None:
    assert nice_maximum(value) == pytest.approx(top)


def test_periods_have_names() -> None:
    named = [period_name(width) for width in (DAY_MS, 3 * DAY_MS, HOUR_MS, 12 * HOUR_MS, 5 * MINUTE_MS)]
    assert named == ["day", "3 days", "hour", "12 hours", "5 minutes"]
