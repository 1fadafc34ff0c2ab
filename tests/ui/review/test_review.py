"""The tab with the queue of unrated responses."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from herding.access.operations import RATE
from herding.errors import AccessError, NotFoundError
from herding.values import HistoryFilter, Principal, Request
from tests.support.herding import ADMIN, GUEST, OTHER
from tests.ui.conftest import Desktop, Piece


async def run(desktop: Desktop, *texts: str, who: Principal | None = None) -> list[str]:
    pipeline = desktop.place.orchestrator.pipeline
    return [(await pipeline.run(Request("say", {"text": text}), who or desktop.who)).request_id for text in texts]


def state(piece: Piece) -> dict[str, str]:
    """The hidden fields that the page sends with the next request."""
    return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', piece.html))


async def test_an_empty_queue_says_so(desktop: Desktop) -> None:
    shown = await desktop.get("review")
    assert "No unrated responses" in shown
    assert "0 rated · 0 left" in shown


async def test_responses_are_rated_one_after_the_other_and_names_come_after(desktop: Desktop) -> None:
    older, newer = await run(desktop, "first text", "second text")
    shown = await desktop.get("review")
    assert state(shown)["current"] == newer
    assert "0 rated · 2 left" in shown
    assert "second text" in shown
    assert "<code>echo" not in shown
    rated = await desktop.post(f"review/{newer}/rate", stars=4)
    assert "<code>echo on echo" in rated
    assert "Saved: 4 of 5" in rated
    shown = await desktop.post("review/next", **state(shown), comment="Fine.")
    assert state(shown) == {"current": older, "rated": "1", "skipped": "", "last": newer}
    assert "1 rated · 1 left" in shown
    assert "Last: " in shown
    entry = await desktop.place.orchestrator.history.entry(newer, desktop.who)
    assert (entry.stars, entry.comment) == (4, "Fine.")


async def test_the_last_rating_is_taken_back(desktop: Desktop) -> None:
    (only,) = await run(desktop, "x")
    await desktop.post(f"review/{only}/rate", stars=1)
    shown = await desktop.post("review/next", current=only)
    assert "1 rated · 0 left" in shown
    shown = await desktop.post("review/undo", **state(shown))
    assert state(shown)["current"] == only
    assert "0 rated · 1 left" in shown
    assert (await desktop.place.orchestrator.history.entry(only, desktop.who)).stars is None


async def test_skipped_responses_come_back_only_when_asked_for(desktop: Desktop) -> None:
    older, newer = await run(desktop, "a", "b")
    shown = await desktop.post("review/skip", current=newer)
    assert state(shown)["current"] == older
    shown = await desktop.post("review/next", **state(shown))  # not rated: skipped too
    assert "Show skipped" in shown
    assert state(await desktop.get("review/item"))["current"] == newer


async def test_filters_are_in_the_address(desktop: Desktop) -> None:
    (said,) = await run(desktop, "a")
    await desktop.place.orchestrator.pipeline.run(Request("chat"), desktop.who)
    shown = await desktop.get("review/item", prompt="say", order="sample", period="0")
    assert state(shown)["current"] == said
    assert shown.told["address"] == {"prompt": "say", "order": "sample", "period": "0"}
    assert state(await desktop.get("review", prompt="say"))["current"] == said
    assert "<code>echo on echo" in await desktop.get("review/item", names="on")


async def test_only_what_somebody_may_see_and_has_not_rated_is_queued(desktop: Desktop) -> None:
    (own,) = await run(desktop, "mine", who=GUEST)
    (theirs,) = await run(desktop, "theirs", who=OTHER)
    history = desktop.place.orchestrator.history
    assert (await history.review(HistoryFilter(), GUEST)).left == 1
    assert (await history.review(HistoryFilter(), ADMIN)).left == 2
    await desktop.post(f"review/{own}/rate", who=GUEST, stars=3)
    assert (await history.review(HistoryFilter(), GUEST)).entry is None
    assert (await history.review(HistoryFilter(), ADMIN)).left == 2  # rated by another user
    with pytest.raises(NotFoundError):
        await desktop.post(f"review/{theirs}/rate", who=GUEST, stars=3)
    with pytest.raises(AccessError):
        await history.review(HistoryFilter(), replace(ADMIN, rights=ADMIN.rights - {RATE}))


async def test_responses_without_text_are_not_queued(desktop: Desktop) -> None:
    (own,) = await run(desktop, "mine", who=GUEST)
    await desktop.place.orchestrator.accounts.forget([own], GUEST)
    assert "No unrated responses" in await desktop.get("review", who=GUEST)
