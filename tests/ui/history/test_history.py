"""The tab with every request: rows, orders, filters, the open request, ratings and exports."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from starlette.datastructures import FormData, QueryParams

from herding.errors import AccessError, DeadlineError, NotFoundError, UserError
from herding.ui.history.entry import step_list
from herding.ui.history.filters import download_links, read_filter, read_sort
from herding.ui.history.rows import PAGE, marked
from herding.ui.kit.responses.chain_steps import recorded_steps
from herding.ui.kit.views import Call
from herding.values import HistoryFilter, HistorySort, Message, Outcome, Request, StepRun
from tests.support.herding import ADMIN, GUEST, OTHER
from tests.ui.conftest import HOSTILE_TEXT, Desktop, Piece, Served

NOON = 1796040000000
TODAY = {"since": 1795996800000, "until": 1796083200000}


async def run(desktop: Desktop, count: int = 1, **more: Any) -> list[Outcome]:
    """Runs of a prompt, the oldest first."""
    pipeline, who = desktop.place.orchestrator.pipeline, {"who": desktop.who, **more}
    return [await pipeline.run(Request("say", {"text": f"number {number}"}), **who) for number in range(count)]


def ids(piece: Piece) -> list[str]:
    return re.findall(r'data-row="(\w+)"', piece.html)


async def test_an_empty_history_says_what_to_do(desktop: Desktop) -> None:
    shown = await desktop.get("history")
    assert "No requests yet" in shown
    assert 'href="?tab=engineer"' in shown
    assert "0 requests" in shown


async def test_rows_have_input_and_response_side_by_side(desktop: Desktop) -> None:
    await run(desktop)
    direct = Request(messages=(Message("system", "Be kind."), Message("user", "hi there")), model="echo")
    await desktop.place.orchestrator.pipeline.run(direct, desktop.who)
    shown = await desktop.get("history")
    assert re.search(r'class="history-input">.*?hi there.*?class="history-response">.*?history-line', shown.html)
    assert re.search(r'class="history-input">.*?number 0', shown.html)
    assert ">Chat<" in shown
    assert '<option value=":chat">Chat</option>' in shown
    assert "Be kind." not in shown


async def test_more_rows_come_after_the_last_one(desktop: Desktop) -> None:
    all_ids = [outcome.request_id for outcome in await run(desktop, PAGE + 3)][::-1]
    shown = await desktop.get("history")
    assert ids(shown) == all_ids[:PAGE]
    assert f"{PAGE + 3} requests" in shown
    (after,) = re.findall(r"history/more\?after=([\w%.~]+)", shown.html)
    await run(desktop)  # a new request moves no row
    more = await desktop.get("history/more", after=after.replace("%7E", "~"))
    assert ids(more) == all_ids[PAGE:]
    assert 'id="history-rest" hx-swap-oob="true"></div>' in more
    assert len(ids(await desktop.get("history/list", rows=PAGE + 2))) == PAGE + 2
    with pytest.raises(UserError, match="out of date"):
        await desktop.get("history/more", after="nonsense")


async def test_a_column_sorts_and_the_address_names_it(desktop: Desktop) -> None:
    first, second = await run(desktop, 2)
    await desktop.place.orchestrator.feedback.rate(first.request_id, 5, desktop.who)
    shown = await desktop.get("history/list", sort="stars")
    assert ids(shown) == [first.request_id, second.request_id]
    assert shown.told["address"]["sort"] == "stars"
    assert 'aria-sort="descending"' in shown
    assert 'title="Sort by rating, worst first" value="stars-asc"' in shown
    assert 'value="stars" selected' in shown  # the list of a narrow screen follows
    assert ids(await desktop.get("history/list", sort="time-asc")) == [first.request_id, second.request_id]
    assert ids(await desktop.get("history", sort="nonsense")) == [second.request_id, first.request_id]


async def test_filters_narrow_the_rows_and_the_downloads_and_are_in_the_address(desktop: Desktop) -> None:
    outcomes = await run(desktop, 3)
    await desktop.place.orchestrator.pipeline.run(Request("varied"), desktop.who)
    shown = await desktop.get("history/list", prompt="say", text=" NUMBER 1 ", version="1", to="2020-01-01")
    assert ids(shown) == [outcomes[1].request_id]
    assert "<mark>number 1</mark>" in shown
    assert "prompt=say&amp;version=1&amp;text=NUMBER+1" in shown
    kept = {name: value for name, value in shown.told["address"].items() if value}
    assert kept == {"prompt": "say", "text": "NUMBER 1", "version": "1"}
    assert ids(await desktop.get("history", prompt="say", text="number 1")) == [outcomes[1].request_id]
    none = await desktop.get("history/list", prompt="say", version="2")
    assert "No matching requests" in none
    assert 'href="?tab=history"' in none


async def test_a_wrong_field_is_told_beside_the_fields(desktop: Desktop) -> None:
    shown = await desktop.get("history", period="custom", **{"from": "yesterday"})
    assert "Fix &quot;From&quot;" in shown
    assert 'id="history-from"' in shown
    shown = await desktop.get("history", who=GUEST, user="ada")
    assert "sees only your own requests" in shown


async def test_the_stars_filter_knows_the_unrated(desktop: Desktop) -> None:
    first, _ = await run(desktop, 2)
    await desktop.place.orchestrator.feedback.rate(first.request_id, 5, desktop.who)
    counts = {stars: len(ids(await desktop.get("history/list", stars=stars))) for stars in ("", "0", "5", "1")}
    assert counts == {"": 2, "0": 1, "5": 1, "1": 0}


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"text": "  "}, HistoryFilter()),
        (
            {"prompt": "p", "model": "m", "node": "n", "user": "u", "stars": "0", "status": "failed", "text": " x "},
            HistoryFilter("u", "p", "m", "n", 0, "failed", "x"),
        ),
        ({"stars": "9", "status": "no status", "period": "9", "from": "x", "version": "3"}, HistoryFilter(version=3)),
        (
            {"prompt": ":chat", "stars": "rated", "period": "0"},
            HistoryFilter(kind="chat", rated=True, **TODAY),
        ),
        (
            {"prompt": ":no", "stars": "commented", "period": "custom", "from": "2026-11-01", "to": "2026-11-02"},
            HistoryFilter(commented=True, since=1793491200000, until=1793664000000),
        ),
    ],
)
def test_the_filter_says_what_the_fields_say(
    fields: dict[str, str], where: HistoryFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("herding.ui.history.filters.now_ms", lambda: NOON)
    assert read_filter(Call(ADMIN, {}, QueryParams(fields), FormData())) == replace(where, steps=False)


@pytest.mark.parametrize(
    ("begin", "end", "named"),
    [("yesterday", "", '"From"'), ("", "2026-13-01", '"To"'), ("2026-11-02", "2026-11-01", '"To"')],
)
def test_a_day_that_is_none_is_named(begin: str, end: str, named: str) -> None:
    fields = {"period": "custom", "from": begin, "to": end}
    with pytest.raises(UserError, match=named):
        read_filter(Call(ADMIN, {}, QueryParams(fields), FormData()))


def test_an_order_is_read_from_the_address() -> None:
    orders = [read_sort(Call(ADMIN, {}, QueryParams(sort=sort), FormData())) for sort in ("", "time-asc", "cost", "x")]
    assert orders == [HistorySort(), HistorySort("time", True), HistorySort("cost"), HistorySort()]


def test_a_searched_text_far_inside_is_shown() -> None:
    assert str(marked(f"{'x ' * 400}The Needle <b>", "needle")).endswith("The <mark>Needle</mark> &lt;b&gt;")
    assert len(marked("word " * 900, "")) < 300


async def test_the_open_request_tells_everything(desktop: Desktop) -> None:
    (row,) = await run(desktop)
    await desktop.place.orchestrator.feedback.comment(row.request_id, "well done", desktop.who)
    shown = await desktop.get(f"history/entries/{row.request_id}")
    assert shown.told["address"] == {"request": row.request_id}
    parts = ("number 0", "Succeeded", "user", "echo is the only available model", "succeeded", row.request_id, "tokens")
    for part in parts:
        assert part in shown, part
    assert ">\nwell done</textarea>" in shown
    assert f'href="?tab=engineer&amp;prompt=say&amp;request={row.request_id}&amp;model=echo"' in shown
    assert f'href="?tab=compare&amp;prompt=say&amp;request={row.request_id}"' in shown
    assert 'type="radio" name="stars" value="5"' in shown


async def test_a_link_to_a_request_opens_it_beside_the_first_rows(desktop: Desktop) -> None:
    old = (await run(desktop, PAGE + 1))[0].request_id
    shown = await desktop.get("history", request=old)
    assert old not in ids(shown)
    assert f'data-entry="{old}"' in shown
    newest = ids(shown)[0]
    assert f'data-row="{newest}" aria-current="true"' in await desktop.get("history", request=newest)
    assert "Request not found" in await desktop.get("history", request="0" * 32)
    assert "Request not found" in await desktop.get("history", request=old, who=GUEST)


async def test_a_request_is_rated_and_commented_and_its_row_follows(desktop: Desktop) -> None:
    (row,) = await run(desktop)
    path = f"history/entries/{row.request_id}"
    rated = await desktop.post(f"{path}/rate", stars=3)
    assert "Rating saved" in rated
    assert "3 stars" in rated.told["history-row"]["html"]
    await desktop.post(f"{path}/comment", comment="late\r\nwords")
    entry = await desktop.place.orchestrator.history.entry(row.request_id, desktop.who)
    assert (entry.stars, entry.comment) == (3, "late\nwords")
    await desktop.post(f"{path}/rate", stars=0)
    assert (await desktop.place.orchestrator.history.entry(row.request_id, desktop.who)).stars is None


async def test_a_guest_sees_and_opens_only_what_is_theirs(desktop: Desktop) -> None:
    await run(desktop, 2, who=GUEST)
    (theirs,) = await run(desktop, 1, who=OTHER)
    shown = await desktop.get("history", who=GUEST)
    assert len(ids(shown)) == 2
    assert "Your requests only" in shown
    assert 'id="history-user"' not in shown
    for method, path in (("get", ""), ("post", "/rate"), ("post", "/comment"), ("post", "/forget")):
        with pytest.raises(NotFoundError):
            await getattr(desktop, method)(f"history/entries/{theirs.request_id}{path}", who=GUEST)
    with pytest.raises(NotFoundError):
        await desktop.get(f"history/rows/{theirs.request_id}", who=GUEST)
    shown = await desktop.get("history")
    assert len(ids(shown)) == 3
    assert 'id="history-user"' in shown
    with pytest.raises(AccessError):
        await desktop.get("history", who=replace(GUEST, rights=frozenset()))


async def test_an_admin_sees_the_ratings_and_comments_of_others(desktop: Desktop) -> None:
    (row,) = await run(desktop, who=GUEST)
    feedback = desktop.place.orchestrator.feedback
    await feedback.rate(row.request_id, 4, GUEST)
    await feedback.comment(row.request_id, "<b>too long</b>", GUEST)
    listed = await desktop.get("history")
    for part in ("4 stars", "1 comment", GUEST.id):
        assert part in listed, part
    shown = await desktop.get(f"history/entries/{row.request_id}")
    assert "&lt;b&gt;too long&lt;/b&gt;" in shown
    assert "Delete content" not in shown  # of another user
    rated = await desktop.post(f"history/entries/{row.request_id}/rate", stars=1)
    assert '2.5 <span class="muted">(2<span' in rated.told["history-row"]["html"]
    for part in (GUEST.id, "too long", desktop.who.id, "you"):
        assert part in rated, part


async def test_new_requests_are_told_and_shown_when_asked_for(desktop: Desktop) -> None:
    await run(desktop)
    (than,) = re.findall(r"history/news\?than=([\w~]+)", (await desktop.get("history")).html)
    assert (await desktop.get("history/news", than=than)).html == ""
    await run(desktop, 2)
    assert "2 new requests · Show" in await desktop.get("history/news", than=than)
    assert "1 new request · Show" in await desktop.get("history/news", than=than, text="number 1")
    assert (await desktop.get("history/news", than=than, status="failed")).html == ""
    assert "3 new requests" in await desktop.get("history/news", than="nonsense")


async def test_a_running_request_is_followed_until_it_ends(desktop: Desktop) -> None:
    stream = desktop.place.orchestrator.pipeline.stream(
        Request("say", {"text": "one two three"}, model="slow/model"), desktop.who
    )
    async for _ in stream:
        (request_id,) = ids(await desktop.get("history")) or [""]
        if request_id:
            break
    row = await desktop.get(f"history/rows/{request_id}")
    assert f'hx-get="ui/history/rows/{request_id}" hx-trigger="every 2000ms' in row
    assert 'follow=1" hx-trigger="every 2000ms' in await desktop.get(f"history/entries/{request_id}")
    async for _ in stream:
        pass
    assert "every 2000ms" not in await desktop.get(f"history/rows/{request_id}")
    shown = await desktop.get(f"history/entries/{request_id}", follow="1")
    assert "every 2000ms" not in shown
    assert shown.told == {}


def test_the_downloads_work_with_the_filters(served: Served) -> None:
    asked = {"prompt": "chat", "variables": {"message": 'a "quoted" & <b>text</b>'}}
    assert served.client.post("/api/v1/infer", json=asked).is_success
    written = str(download_links(HistoryFilter(prompt="chat", version=1, stars=0, steps=False, text='"quoted" & <b>')))
    addresses = [part.split('"')[0].replace("&amp;", "&") for part in written.split('href="')[1:]]
    assert [urlsplit(address).path for address in addresses] == ["api/v1/history.csv", "api/v1/history.jsonl"]
    fields = {"prompt": ["chat"], "version": ["1"], "stars": ["0"], "text": ['"quoted" & <b>'], "steps": ["false"]}
    assert parse_qs(urlsplit(addresses[0]).query) == fields
    for address in addresses:
        answer = served.client.get(f"/{address}")
        assert answer.status_code == 200
        assert len(answer.text.splitlines()) == (2 if ".csv" in address else 1)


async def test_the_texts_of_an_own_request_are_deleted(desktop: Desktop) -> None:
    second, first = await run(desktop, 2, who=GUEST)
    await desktop.place.orchestrator.feedback.comment(first.request_id, "with words", GUEST)
    path = f"history/entries/{first.request_id}"
    assert "This can&#x27;t be undone." in await desktop.get(path, who=GUEST)
    shown = await desktop.post(f"{path}/forget", who=GUEST)
    assert shown.told["notice"] == "Content deleted."
    assert "Content not stored" in shown.told["history-row"]["html"]
    assert "Content not stored" in shown
    for part in ("number 1", "with words", "Delete content", "Open in engineer"):
        assert part not in shown, part
    assert (await desktop.place.orchestrator.history.entry(second.request_id, GUEST)).outcome.answer


async def test_nobody_deletes_the_texts_of_others(desktop: Desktop) -> None:
    (row,) = await run(desktop, who=GUEST)
    for who in (desktop.who, OTHER):
        with pytest.raises(NotFoundError):
            await desktop.post(f"history/entries/{row.request_id}/forget", who=who)
    assert (await desktop.place.row()).answer


async def test_a_request_of_somebody_who_keeps_no_texts_is_shown_without(desktop: Desktop) -> None:
    quiet = replace(GUEST, opt_out=True)
    with pytest.raises(DeadlineError):
        await desktop.place.orchestrator.pipeline.run(Request("failing"), quiet)
    assert "Content not stored" in await desktop.get("history", who=quiet)
    row = await desktop.place.row()
    shown = await desktop.get(f"history/entries/{row.request_id}", who=quiet)
    assert "The error message was not stored" in shown
    assert "Exact input" not in shown


async def test_texts_of_users_and_models_stay_texts(desktop: Desktop) -> None:
    asked = Request("say", {"text": HOSTILE_TEXT})
    row = await desktop.place.orchestrator.pipeline.run(asked, desktop.who)
    await desktop.place.orchestrator.feedback.comment(row.request_id, HOSTILE_TEXT, desktop.who)
    for shown in (await desktop.get("history", text="script"), await desktop.get(f"history/entries/{row.request_id}")):
        assert "<script" not in shown
        assert "<img" not in shown
        assert "&lt;img" in shown


def test_steps_that_did_not_begin_are_not_waiting_any_more() -> None:
    """The chain has ended."""
    assert "not run" in step_list([], [StepRun("later", "mood@1")], {})
    assert "skipped" in step_list([], [StepRun("left_out", "mood@1", "skipped")], {})
    assert "not run" in recorded_steps([StepRun("later", "mood@1")])


async def test_links_between_a_chain_and_its_steps_keep_the_filters(desktop: Desktop) -> None:
    desktop.place.write("pair", "name: Pair\nsteps: [{prompt: say, name: one, into: x}, {prompt: say, name: two}]\n")
    await desktop.place.orchestrator.load()
    chain = await desktop.place.orchestrator.pipeline.run(Request("pair"), ADMIN)
    filters = {"tab": "history", "prompt": "pair", "sort": "stars", "text": "a & b"}

    async def linked(request_id: str, text: str) -> dict[str, list[str]]:
        at = {"hx-current-url": f"http://herding.test/?{urlencode({**filters, 'request': request_id})}"}
        html = (await desktop._ask("GET", f"history/entries/{request_id}", None, headers=at)).html
        found = re.search(rf'href="([^"]+)"[^>]*>{text}</a>', html)
        assert found, text
        return parse_qs(urlsplit(unescape(found[1])).query)

    step = (chain.steps or ())[0].request_ids[0]
    kept = {name: [value] for name, value in filters.items()}
    assert await linked(chain.request_id, "one") == kept | {"request": [step]}
    assert await linked(step, "Open the chain") == kept | {"request": [chain.request_id]}
    whole = await desktop.get("history", prompt="pair", request=chain.request_id)
    assert f"prompt=pair&amp;request={step}" in whole
