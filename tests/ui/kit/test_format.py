"""Values as a person reads them."""

from __future__ import annotations

import pytest

from herding.ui.kit import format as shown
from herding.values.sizes import format_size


@pytest.mark.parametrize(
    ("ms", "told"), [(None, "–"), (0.4, "0 ms"), (999, "999 ms"), (1234, "1.2 s"), (185_000, "3 min 5 s")]
)
def test_durations(ms: float | None, told: str) -> None:
    assert shown.duration(ms) == told


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 B"), (999, "999 B"), (5e8, "500 MB"), (25.3e9, "25.3 GB"), (2e12, "2.0 TB")]
)
def test_sizes(count: int, told: str) -> None:
    assert format_size(int(count)) == told


@pytest.mark.parametrize(
    ("given", "told"),
    [(1200.0, "1200"), (449.5, "449.5"), ([900, 700.0], "900, 700"), (True, "yes"), (None, ""), ("x", "x")],
)
def test_values(given: object, told: str) -> None:
    assert shown.format_value(given) == told


def test_an_instant_is_readable_and_machine_readable() -> None:
    assert (
        shown.datetime_tag(1_795_222_800_000)
        == '<time datetime="2026-11-21T01:00:00+00:00">21 Nov 2026, 01:00:00 UTC</time>'
    )


def test_a_long_text_is_cut_to_a_line() -> None:
    assert shown.truncate("a\n  b", 10) == "a b"
    assert shown.truncate("word " * 100, 12) == "word word wo …"


def test_plurals() -> None:
    assert (shown.plural(1, "use"), shown.plural(2000, "use")) == ("1 use", "2,000 uses")
