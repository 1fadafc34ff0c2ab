"""The tab with every request: pages, filters, details, feedback and exports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from herding.errors import DeadlineError, NotFoundError, UserError
from herding.ui.history.filters import download_links, read_filter
from herding.ui.history.tab import PAGE
from herding.values import HistoryFilter, Message, Request
from tests.support.herding import GUEST, OTHER
from tests.ui.conftest import Desktop, Served

NOON = 1796040000000
TODAY = {"since": 1795996800000, "until": 1796083200000}


async def run(desktop: Desktop, count: int = 1, **more: Any) -> None:
    for number in range(count):
        await desktop.place.orchestrator.pipeline.run(
            Request("say", {"text": f"number {number}"}), **{"who": desktop.who, **more}
        )


def rows(desktop: Desktop) -> int:
    return str(desktop.value(desktop.page.history.list)).count("data-pick=")


async def test_an_empty_history_says_what_to_do(desktop: Desktop) -> None:
    await desktop.fire("history")
    assert "No requests yet" in desktop.value(desktop.page.history.list)
    assert "No requests" in desktop.value(desktop.page.history.place)


async def test_pages_go_from_new_to_old_and_back(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, PAGE + 3)
    await desktop.fire("history")
    assert rows(desktop) == PAGE
    assert f"1–{PAGE} of {PAGE + 3}" in desktop.value(history.place)
    assert [desktop.prop(button, "interactive") for button in (history.newer, history.older)] == [False, True]
    await desktop.fire("history_older")
    assert rows(desktop) == 3
    assert "number 0" in desktop.value(history.list)
    assert [desktop.prop(button, "interactive") for button in (history.newer, history.older)] == [True, False]
    await desktop.fire("history_newer")
    assert rows(desktop) == PAGE


async def test_a_page_beyond_the_end_shows_the_last_one(desktop: Desktop) -> None:
    await run(desktop, 2)
    desktop.set(desktop.page.history.offset, 10_000)
    await desktop.fire("history")
    assert rows(desktop) == 2
    assert desktop.value(desktop.page.history.offset) == 0


async def test_filters_narrow_the_list_and_the_downloads(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, 3)
    await desktop.place.orchestrator.pipeline.run(Request("varied"), desktop.who)
    await desktop.fire("history")
    assert ("varied", "varied") in desktop.prop(history.prompt, "choices")
    desktop.set(history.prompt, "say")
    desktop.set(history.text, "number 1 & more")
    await desktop.fire("history_filter")
    assert "No matching requests" in desktop.value(history.list)
    desktop.set(history.text, "NUMBER 1")
    await desktop.fire("history_filter")
    assert rows(desktop) == 1
    assert "prompt=say&amp;text=NUMBER+1" in desktop.value(history.links)


async def test_the_stars_filter_knows_the_unrated(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, 2)
    first = (await desktop.place.rows())[0]
    await desktop.place.orchestrator.feedback.rate(first.request_id, 5, desktop.who)
    counts = {}
    for stars in ("", "0", "5", "1"):
        desktop.set(history.stars_given, stars)
        await desktop.fire("history_filter")
        counts[stars] = rows(desktop)
    assert counts == {"": 2, "0": 1, "5": 1, "1": 0}


async def test_the_details_of_a_request_tell_everything(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop)
    row = await desktop.place.row()
    await desktop.place.orchestrator.feedback.comment(row.request_id, "well done", desktop.who)
    await desktop.fire("history_pick", row.request_id)
    assert "Succeeded" in desktop.value(history.head)
    for part in ("number 0", "user", "echo is the only available model", "succeeded", row.request_id):
        assert part in desktop.value(history.page), part
    assert desktop.value(history.comment) == "well done"
    assert desktop.prop(history.stars, "enabled") is True


async def test_a_request_is_rated_and_commented_later(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop)
    row = await desktop.place.row()
    await desktop.fire("history")
    await desktop.fire("history_pick", row.request_id)
    desktop.set(history.stars, 3)
    await desktop.fire("history_rate")
    assert "3 stars" in desktop.value(history.list)
    assert 'aria-current="true"' in desktop.value(history.list)
    desktop.set(history.comment, "late")
    await desktop.fire("history_comment")
    entry = await desktop.place.orchestrator.history.entry(row.request_id, desktop.who)
    assert (entry.stars, entry.comment) == (3, "late")


async def test_a_guest_sees_and_opens_only_what_is_theirs(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, 2, who=GUEST)
    await run(desktop, 1, who=OTHER)
    await desktop.fire("history", who=GUEST)
    assert rows(desktop) == 2
    assert "Your requests only" in desktop.value(history.scope)
    (theirs,) = await desktop.place.rows(OTHER)
    with pytest.raises(NotFoundError):
        await desktop.fire("history_pick", theirs.request_id, who=GUEST)
    desktop.set(history.chosen, theirs.request_id)
    desktop.set(history.stars, 1)
    with pytest.raises(NotFoundError):
        await desktop.fire("history_rate", who=GUEST)
    await desktop.fire("history")
    assert rows(desktop) == 3
    assert "All users&#x27; requests" in desktop.value(history.scope)


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        (("", None, "", "", "", "", "", None, None, "  "), HistoryFilter()),
        (
            ("p", "m", "n", "u", "0", "failed", "", None, None, " x "),
            HistoryFilter("u", "p", "m", "n", 0, "failed", "x"),
        ),
        ((None, None, None, None, "9", "no status", "9", "x", "y", None), HistoryFilter()),
        ((":chat", "", "", "", "rated", "", "0", "", "", ""), HistoryFilter(kind="chat", rated=True, **TODAY)),
        (
            (":nothing", "", "", "", "commented", "", "custom", "2026-11-01", "2026-11-02", ""),
            HistoryFilter(commented=True, since=1793491200000, until=1793664000000),
        ),
    ],
)
def test_the_filter_says_what_the_fields_say(fields: tuple[Any, ...], where: HistoryFilter) -> None:
    assert read_filter(*fields, now=NOON) == where


@pytest.mark.parametrize(
    ("begin", "end", "named"),
    [("yesterday", "", '"From"'), ("", "2026-13-01", '"To"'), ("2026-11-02", "2026-11-01", '"To"')],
)
def test_a_day_that_is_none_is_named(begin: str, end: str, named: str) -> None:
    with pytest.raises(UserError, match=named):
        read_filter("", "", "", "", "", "", "custom", begin, end, "", now=NOON)


async def test_an_admin_sees_the_ratings_and_comments_of_others(desktop: Desktop) -> None:
    history, feedback = desktop.page.history, desktop.place.orchestrator.feedback
    await run(desktop, who=GUEST)
    row = await desktop.place.row()
    await feedback.rate(row.request_id, 4, GUEST)
    await feedback.comment(row.request_id, "<b>too long</b>", GUEST)
    await desktop.fire("history")
    listed = desktop.value(history.list)
    assert "4 stars" in listed
    assert "1 comment" in listed
    assert GUEST.id in listed
    await desktop.fire("history_pick", row.request_id)
    assert "&lt;b&gt;too long&lt;/b&gt;" in desktop.value(history.page)
    assert desktop.value(history.comment) == ""
    desktop.set(history.stars, 1)
    await desktop.fire("history_rate")
    desktop.set(history.comment, "fine")
    await desktop.fire("history_comment")
    assert '2.5 <span class="muted">(2<span' in desktop.value(history.list)
    assert "2 comments" in desktop.value(history.list)
    for part in (GUEST.id, "too long", desktop.who.id, "fine", "you"):
        assert part in desktop.value(history.page), part
    entry = await desktop.place.orchestrator.history.entry(row.request_id, desktop.who)
    assert [(one.principal, one.stars, one.comment) for one in entry.ratings] == [
        (GUEST.id, 4, "<b>too long</b>"),
        (desktop.who.id, 1, "fine"),
    ]


async def test_requests_without_a_prompt_have_a_name_and_a_filter(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop)
    direct = Request(messages=(Message("user", "hi"),), model="echo")
    await desktop.place.orchestrator.pipeline.run(direct, desktop.who)
    await desktop.fire("history")
    assert "request to Chat:" in desktop.value(history.list)
    assert ("Chat", ":chat") in desktop.prop(history.prompt, "choices")
    desktop.set(history.prompt, ":chat")
    await desktop.fire("history_filter")
    assert rows(desktop) == 1
    assert "kind=chat" in desktop.value(history.links)


async def test_requests_of_one_user_in_a_period(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, 2)
    await run(desktop, 1, who=GUEST)
    await desktop.fire("history")
    assert desktop.prop(history.user, "visible") is True
    desktop.set(history.user, GUEST.id)
    desktop.set(history.period.preset, "0")
    await desktop.fire("history_filter")
    assert rows(desktop) == 1
    assert "user=guest%3A1&amp;from=" in desktop.value(history.links)
    desktop.set(history.period.preset, "custom")
    await desktop.fire("history_period")
    assert desktop.prop(history.period.begin, "visible") is True
    desktop.set(history.period.end, "2020-01-01")
    await desktop.fire("history_filter")
    assert "No matching requests" in desktop.value(history.list)
    await desktop.fire("history", who=GUEST)
    assert desktop.prop(history.user, "visible") is False


async def test_the_last_choice_is_shown_also_if_its_response_came_first(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, 2)
    desktop.set(history.text, "number 1")
    await desktop.fire("history_filter")
    late = {component._id: dict(desktop.shown[component._id]) for component in history.listing}
    desktop.set(history.text, "")
    await desktop.fire("history_filter")
    assert rows(desktop) == 2
    desktop.shown.update(late)
    assert rows(desktop) == 1
    await desktop.fire("history_check")
    assert rows(desktop) == 2
    before = dict(desktop.shown[history.list._id])
    await desktop.fire("history_check")
    assert desktop.shown[history.list._id] == before


def test_the_downloads_work_with_the_filters(served: Served) -> None:
    asked = {"prompt": "chat", "variables": {"message": 'a "quoted" & <b>text</b>'}}
    assert served.client.post("/api/v1/infer", json=asked).is_success
    written = str(download_links(HistoryFilter(prompt="chat", stars=0, text='"quoted" & <b>')))
    addresses = [part.split('"')[0].replace("&amp;", "&") for part in written.split('href="')[1:]]
    assert [urlsplit(address).path for address in addresses] == ["api/v1/history.csv", "api/v1/history.jsonl"]
    assert parse_qs(urlsplit(addresses[0]).query) == {"prompt": ["chat"], "stars": ["0"], "text": ['"quoted" & <b>']}
    for address in addresses:
        answer = served.client.get(f"/{address}")
        assert answer.status_code == 200
        assert len(answer.text.splitlines()) == (2 if ".csv" in address else 1)


async def test_the_texts_of_an_own_request_are_deleted_after_a_question(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, 2, who=GUEST)
    first, second = await desktop.place.rows(GUEST)
    await desktop.place.orchestrator.feedback.comment(first.request_id, "with words", GUEST)
    await desktop.fire("history_pick", first.request_id, who=GUEST)
    assert [desktop.prop(part, "visible") for part in history.forget.outputs] == [True, False]
    await desktop.fire("forget_ask", who=GUEST)
    assert desktop.prop(history.forget.row, "visible") is True
    await desktop.fire("history_forget", who=GUEST)
    assert "Content deleted" in desktop.value(history.note)
    assert "Content not stored" in desktop.value(history.page)
    assert "number" not in desktop.value(history.page)
    assert desktop.value(history.comment) == ""
    assert desktop.value(history.list).count("Content not stored") == 1
    assert [desktop.prop(part, "visible") for part in history.forget.outputs] == [False, False]
    assert (await desktop.place.orchestrator.history.entry(second.request_id, GUEST)).outcome.answer


async def test_nobody_deletes_the_texts_of_others(desktop: Desktop) -> None:
    history = desktop.page.history
    await run(desktop, who=GUEST)
    (row,) = await desktop.place.rows(GUEST)
    await desktop.fire("history_pick", row.request_id)
    assert desktop.prop(history.forget.box, "visible") is False
    for who in (desktop.who, OTHER):
        with pytest.raises(NotFoundError):
            await desktop.fire("history_forget", who=who)
    assert (await desktop.place.row()).answer


async def test_a_request_of_somebody_who_keeps_no_texts_is_shown_without(desktop: Desktop) -> None:
    quiet = replace(GUEST, opt_out=True)
    with pytest.raises(DeadlineError):
        await desktop.place.orchestrator.pipeline.run(Request("failing"), quiet)
    await desktop.fire("history", who=quiet)
    assert "Content not stored" in desktop.value(desktop.page.history.list)
    row = await desktop.place.row()
    await desktop.fire("history_pick", row.request_id, who=quiet)
    assert "The error message was not stored" in desktop.value(desktop.page.history.page)
    assert "Exact input" not in desktop.value(desktop.page.history.page)
